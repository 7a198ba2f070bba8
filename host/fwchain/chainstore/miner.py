"""The block maker of a full node: logs of the pool, and a verification node's waiting releases, become blocks.

A thread of its own waits until there is a release, sixteen logs, or a log that has waited long
enough; does the proof of work in slices, gives up when another block became the tip meanwhile,
signs, and stores the block.

A verification node puts the logs of its exchanges (C1) into blocks soon, those of a C2 later, since the block of a C2-2
is n_j's. A normal node's blocks hold logs alone, its certificate, and a verification counter that counts them (paper
3.2). It lets each log wait so long that others had their time, and a random while more, so that two normal nodes seldom
do the same work.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.store import Added, Store
from fwnode import compat, crypto
from fwnode.chain import checkpoint, header, pow
from fwnode.chain.block import MAX_LOGS, assemble, sign, verification_field
from fwnode.chain.head import MAX_BLOCK
from fwnode.chain.log import Log
from fwnode.chain.record import ReleaseRecord
from fwnode.errors import FwError
from fwnode.wire.message import key_id

WAIT_S = 5.0  # how long a log waits for others
C2_S = 60.0  # how long a verification node leaves a C2's logs to n_j
LOOK = 64  # logs of the pool that are looked at
OVERHEAD = 1024  # bytes of a block that are not records, and to spare
CHECKPOINT_EVERY = 64  # blocks
CHECKPOINT_DEPTH = 6  # blocks that a checkpoint lies below the tip
SLICES_BETWEEN_LOOKS = 16  # slices of the proof of work between two looks at the tip
SPREAD = 0.5  # of its wait, that a normal node waits longer at random
PAUSE_S = 1.0  # after an error, doubled with each further one
MAX_PAUSE_S = 60.0


class Miner:
    """Makes blocks in `store` with a verification node's private key, or with a normal node's and its `credential`:
    ("cert", certificate), or ("pu", public key) where enrolment is open.

    `on_block(added, data)` is called after each, and `on_error(error)` for what went wrong, in the
    miner's thread.
    """

    def __init__(
        self,
        store: Store,
        private: bytes,
        wait_s: float = WAIT_S,
        on_block: Callable[[Added, bytes], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        checkpoint_every: int = CHECKPOINT_EVERY,
        credential: tuple[str, bytes] | None = None,
        c2_s: float = C2_S,
    ) -> None:
        self.store = store
        self.checkpoint_every = checkpoint_every
        self.wait_s = wait_s
        self.c2_s = c2_s
        self._private = private
        self._public = crypto.public_key(private)
        self._node = credential is None
        self._sender = dict([credential or ("pu", self._public)])
        self._on_block = on_block
        self._on_error = on_error
        self._wake = threading.Condition()
        self._stopping = False
        self._overtaken = False
        self._thread: threading.Thread | None = None
        # of each waiting log: when it has waited enough, by the monotonic clock, and whether it is of a C1 here
        self._waiting: dict[bytes, tuple[float, bool]] = {}

    def start(self) -> None:
        """Begin to make blocks."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="miner", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread; a block that is not found yet is given up."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def notify(self) -> None:
        """There is a new log or release: look at once."""
        with self._wake:
            self._wake.notify_all()

    def flush(self) -> list[Added]:
        """Make blocks, in the caller's thread, until nothing waits."""
        made = []
        while True:
            added = self.mine_once()
            if added is not None:
                made.append(added)
            elif not self._overtaken:
                return made

    def mine_once(self, wanted: list[bytes] | None = None) -> Added | None:
        """One block of what waits now (of logs only `wanted`); None when nothing does, or another block came first."""
        self._overtaken = False
        release = self._release()
        chosen = self._logs(MAX_BLOCK - OVERHEAD - (len(release) if release else 0), wanted)
        if not chosen and release is None:
            return None
        link = self.store.link()
        field = verification_field(self._public, self._node, link, chosen, release)
        now = int(self.store.clock())
        root = max(self.store.root.number, link.root)
        head = self._mine(assemble(link, now, self.store.genesis.difficulty, root, field), link.hash)
        if head is None:
            return None
        if self.store.tip().hash != link.hash:
            self._overtaken = True  # by another worker or node: what it left goes into the next block
            return None
        counter = link.counter if self._node else field["c"]
        data = compat.run(sign(self._private, self.store.net, head, counter, root, self._sender, field))
        added = self.store.add_block(data)
        if self._node:
            self._checkpoint()
        if self._on_block is not None:
            self._on_block(added, data)
        return added

    def _mine(self, head: bytes, parent: bytes) -> bytes | None:
        work = pow.mine(head, self.store.genesis.difficulty)
        slices = 0
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            slices += 1
            if self._stopping:
                return None
            if slices % SLICES_BETWEEN_LOOKS == 0 and self.store.tip().hash != parent:
                self._overtaken = True
                return None

    def _checkpoint(self) -> None:
        """Sign a checkpoint now and then, where this one verification node is enough for the threshold.

        One is made at once when a new trust root came into force, since boards keep the newest root alone and cannot
        check what an older one let sign.
        """
        store = self.store
        if store.root.node_threshold > 1:
            return
        link = store.link()
        held = store.checkpoint()
        rotated = link.root == store.root.number and link.root > (held.root if held else 1)
        height = link.height if rotated else link.height - CHECKPOINT_DEPTH
        if not rotated and height < (held.height if held else 0) + self.checkpoint_every:
            return
        if height != link.height:
            link = store.link(header.hash_of(store.headers(height, 1)))
        unsigned = checkpoint.build(store.net, link)
        store.set_checkpoint(compat.run(checkpoint.sign(unsigned, store.net, self._private)))

    def _release(self) -> bytes | None:
        if not self._node:
            return None  # only a verification node's block announces one
        while (data := self.store.waiting_release()) is not None:
            try:
                compat.run(ReleaseRecord(data).check(self.store.root))
            except FwError as error:
                self._tell(error)
                self.store.drop_release(data)
                continue
            return data
        return None

    def _logs(self, room: int, wanted: list[bytes] | None) -> list[Log]:
        """Up to sixteen logs of the pool that may stand in a block now; the others are dropped from
        it.
        """
        chosen: list[Log] = []
        now = int(self.store.clock())
        waiting = self.store.pool(LOOK)
        for data in [data for data in waiting if wanted is None or data in wanted][:MAX_LOGS]:
            try:
                log = Log(data, self.store.net)
                compat.run(log.check(self.store.authority(), now, self.store.genesis.difficulty))
            except StoreError:
                raise
            except FwError as error:
                self._tell(error)
                self.store.drop_from_pool(data)
                continue
            room -= len(data) + 5
            if room < 0:
                break
            chosen.append(log)
        return chosen

    def _tell(self, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)

    def _look(self) -> tuple[float, list[bytes]]:
        """(seconds until there is a block to make, the logs for it)."""
        now = time.monotonic()
        last = self._waiting
        self._waiting = {data: last[data] if data in last else self._first(data, now) for data in self.store.pool(LOOK)}
        rows = self._waiting.items()
        prompt = [data for data, (_, here) in rows if here]
        if self._node:
            ready = prompt + [data for data, (due, here) in rows if due <= now and not here]
            if len(prompt) >= MAX_LOGS or self.store.waiting_release() is not None:
                return 0.0, ready
        else:
            ready = [data for data, (due, _) in rows if due <= now + SPREAD * self.wait_s]
        soonest = min((due for due, _ in self._waiting.values()), default=now + self.wait_s)
        return max(0.0, soonest - now), ready

    def _first(self, data: bytes, now: float) -> tuple[float, bool]:
        """What is kept of a log that is seen for the first time."""
        if not self._node:
            return now + self.wait_s * random.uniform(1.0, 1.0 + SPREAD), False
        nodes = [key_id(public) for public in self.store.root.nodes]
        here = Log(data, self.store.net).response in nodes
        return now + (self.wait_s if here else max(self.wait_s, self.c2_s)), here

    def _run(self) -> None:
        pause = 0.0
        failures = 0
        while True:
            with self._wake:
                if pause > 0 and not self._stopping:
                    self._wake.wait(pause)
                if self._stopping:
                    return
            try:
                pause, ready = self._look()
                if pause <= 0:
                    self.mine_once(ready)
                    pause = 0.01
                failures = 0
            except FwError as error:
                self._tell(error)
                pause = min(MAX_PAUSE_S, PAUSE_S * 2**failures)
                failures = min(failures + 1, 10)
