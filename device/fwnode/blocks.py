"""Blocks on a board (design: the chain): announcements become headers; n_j makes the block of its C2-2, mined in
slices, announced by its signed head. Loaded on demand by fwnode.broadcasts, without the roles.
"""

from fwnode.chain import ChainError, block
from fwnode.chain.authority import Authority
from fwnode.chain.head import Head
from fwnode.chain.header import check_work, hash_of
from fwnode.chain.log import Log
from fwnode.compat import drive, random_int
from fwnode.credentials import Credentials
from fwnode.errors import FwError
from fwnode.roles.identity import Counters
from fwnode.trust import Untrusted
from fwnode.wire import message
from fwnode.wire.bencode import encode

TRIES = 3  # when another block becomes the tip meanwhile


class _Kept:
    """A log whose signature was checked, as fwnode.chain.block.verification_field wants it."""

    success = True

    def __init__(self, data: bytes) -> None:
        self.data = data


class Blocks:
    """What waits at `door` (fwnode.broadcasts.Broadcasts) for the chain."""

    def __init__(self, node, door) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.door = door
        self.counters = Counters(node.dropped)

    async def run(self) -> None:
        """Look at the announcements, then make this board's own block."""
        who = await Credentials(self.node).read()
        self.me, self.root, self.genesis = who.me, who.root, who.genesis
        self.authority = Authority(who.root, who.genesis.certified)
        while self.door.heads and not self.door.closing:  # C2 never delays C1
            data, ip = self.door.heads.pop(0)
            try:
                await self._announced(data, ip)
            except FwError as error:
                self.counters.drop(error)
        if self.door.logs:
            logs, self.door.logs = self.door.logs, []
            await self.make(logs[:-1], logs[-1])

    async def _announced(self, data: bytes, ip: str) -> None:
        """The header's work first, then the signature over the message that names the port."""
        received = message.parse(data)
        head = Head(received["block"], self.me.net)
        check_work(head.head, self.genesis.difficulty)
        public, _ = self.authority.claim(head.body)
        if not await drive(message.verify(received, public)):
            raise Untrusted("signature", "block: wrong signature")
        if await self.node.ledger.take_head(received["block"], (ip, received["port"]), self):
            self.door.curves.know(public, ip)

    async def make(self, logs: list, final: bytes) -> None:
        """Mine, keep and announce the block of `logs` (confirmations that counted) and `final` (n_i's log, or b"")."""
        node = self.node
        kept = [_Kept(data) for data in logs[: block.MAX_LOGS - 1]]  # type: list
        if final:
            try:
                kept.append(await self._final(final))
            except FwError as error:
                self.counters.drop(error)
        sender = {self.me.credential[0]: self.me.credential[1]}
        for _ in range(TRIES):
            try:
                parent = node.ledger.link()
            except ChainError as error:
                node.hooks.state("error", what="block", why=str(error))
                return
            field = block.verification_field(self.me.public, False, parent, kept)
            now = node.clock.now() or 0
            root = max(self.root.number, parent.root)
            body = await drive(block.mined(self.me.private, sender, self.genesis, parent, now, root, field))
            head = encode(body)
            whole = block.whole(body, field)
            if node.ledger.link().hash == parent.hash and await node.ledger.add_own(whole, head, self):
                node.hooks.state("block", hash=hash_of(body["head"]).hex(), logs=len(kept))
                await node.lan.broadcast(await self._wrapped(head))
                return
        node.hooks.state("error", what="block", why="others were faster {} times".format(TRIES))

    async def _wrapped(self, head: bytes) -> bytes:
        """The message `block` around a signed head; `port` is where the whole block can be had."""
        r = random_int(63)
        told = message.new("block", self.me.net, message.node_id(self.me.public, r), b"", r)
        told["block"] = head
        told["port"] = self.me.port
        told["ts"] = self.node.clock.told() or 0
        return await drive(message.sign(self.me.private, told))  # type: ignore[no-any-return]

    async def _final(self, final: bytes) -> Log:
        log = Log(final, self.me.net)
        await drive(log.check(self.authority, self.node.clock.now(), self.genesis.difficulty))
        return log
