"""Keeps a board's header chain level with a node's: which path to GET next, and what the answer means.

First the checkpoint, which spares the board the headers below it; then batches of headers with the signed head of each
batch's last one, whose signature answers for the batch. When the node is on another branch, further back.

    follower = Follower(chain, authority, now)
    while follower.path:
        yield from follower.feed(…the body of GET follower.path, None for a 404…)
"""

from fwnode.chain import ChainError
from fwnode.chain.header import SIZE
from fwnode.chain.headers import Orphan
from fwnode.compat import const
from fwnode.wire.bencode import decode

BATCH = const(32)  # headers: 2.8 KB
MAX_BATCHES = const(8)  # what is left comes with the next check
MAX_ANSWER = const(4096)  # bytes of any answer


class Follower:
    """One pass over one node. `path` is what to GET, None at the end; `moved` whether the tip moved; `head` the signed
    head of the new tip, None when that is a checkpoint's block.
    """

    def __init__(self, chain, authority, now) -> None:  # type: ignore[no-untyped-def]
        self.chain = chain
        self.moved = False
        self.head = None  # type: bytes | None
        self.path = "/chain/checkpoint"
        self._authority = authority
        self._now = now
        self._start = 0
        self._heads = []  # type: list[bytes]
        self._batches = 0

    def feed(self, data):  # type: ignore[no-untyped-def]
        """Steps: take the answer to `path`; raises ChainError, WireError or Untrusted, and then the pass is over."""
        path = self.path
        self.path = None
        if "checkpoint" in path:
            if data:
                self.moved = yield from self.chain.take_checkpoint(data, self._authority.root)
            self._ask(self.chain.height + 1)
        elif not self._heads:
            if data and len(data) % SIZE == 0:
                view = memoryview(data)
                self._heads = [bytes(view[at : at + SIZE]) for at in range(0, len(data), SIZE)][:BATCH]
                self.path = "/chain/heads?from={}&count=1".format(self._start + len(self._heads) - 1)
            elif data:
                raise ChainError("header", "{} bytes are no headers of {}".format(len(data), SIZE))
        else:
            yield from self._take(data)

    def _ask(self, start: int) -> None:
        """Ask for the batch that begins at height `start`."""
        self._heads = []
        self._start = start
        self._batches += 1
        if self._batches <= MAX_BATCHES:
            self.path = "/chain/headers?from={}&count={}".format(start, BATCH)

    def _take(self, data):  # type: ignore[no-untyped-def]
        found = decode(data) if data else None
        if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], bytes):
            raise ChainError("head", "a list of one signed head expected")
        heads = self._heads
        lowest = self.chain.base.height + 1
        try:
            if (yield from self.chain.take(heads[:-1] + found, self._authority, self._now)):
                self.moved = True
                self.head = found[0]
        except Orphan:
            if self._start <= lowest:
                raise ChainError("previous", "the node's chain does not hold this board's base")
            self._ask(max(lowest, self._start - BATCH // 2))
            return
        if len(heads) == BATCH:
            self._ask(self._start + BATCH)
