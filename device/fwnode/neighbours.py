"""C2 on the local network (paper 3.3.2): this board as n_j, as a confirming node, and as n_i where no verification
node answered. Loaded by fwnode.broadcasts while there is work for it, one exchange of each kind at a time.
"""

import asyncio

from fwnode.asking import Asking
from fwnode.chain.authority import Authority
from fwnode.compat import const, drive, ticks_add, ticks_diff, ticks_ms
from fwnode.credentials import Credentials
from fwnode.errors import FwError
from fwnode.net import NetError
from fwnode.net.http import PATH, post
from fwnode.roles import BROADCAST, END, SEND
from fwnode.roles.confirming import Confirming
from fwnode.roles.identity import Counters
from fwnode.roles.log import ANSWERED
from fwnode.roles.response import OUTDATED, OVER, Response
from fwnode.roles.strangers import Replays, claimed
from fwnode.wire import message
from fwnode.wire.fields import MAX_MESSAGE

LINGER_MS = const(1500)  # loading costs more than staying for the next message
GRACE_MS = const(5000)  # that an exchange gets to end when this board wants to ask a verification node
FINAL_MS = const(4000)  # that n_j waits for n_i's log before it makes the block
POST_MS = const(5000)
CONNECT_MS = const(10000)  # between two connections to an address that a datagram named
CERTIFICATES = const(10)  # kept, so that a member's is checked once in an exchange
JOINED = const(16)
TICK_S = 0.2


class Own:
    """What this board runs, as fwnode.roles.response wants it."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        boot = node.boot
        self._files = boot.files
        self.version = boot.version
        self.verifier = boot.verifier if boot.genuine else None
        self.info_hash = boot.release.info_hash if boot.release else b""
        self.address = (node.ip, node.config.port)

    @property
    def metainfo(self) -> bytes:
        """M as the vendor signed it, b"" when it is not at hand."""
        return (self.verifier and self._files.read("running.m")) or b""


class Neighbours:
    """The roles for `node`, fed by `door` (fwnode.broadcasts.Broadcasts). `run` ends when there is nothing to do."""

    def __init__(self, node, door) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.door = door
        self.counters = Counters(node.dropped)
        self.asking: Asking | None = None
        self.response: Response | None = None
        self.ended: Response | None = None  # compared; n_i's own log is awaited for its block
        self.final = b""
        self.due = 0
        self.lock = asyncio.Lock()

    def wants(self, request: bytes) -> bool:
        """Whether a log of this request ID belongs to an exchange that runs here."""
        for response in (self.response, self.ended):
            if response is not None and response.ask["from"] == request:
                return True
        return self.asking is not None and self.asking.id == request

    async def run(self) -> None:
        """Do what waits, until nothing does, or until the board wants to check by itself."""
        who = await Credentials(self.node).read()
        self.me, self.root, self.genesis = who.me, who.root, who.genesis
        self.authority = Authority(who.root, who.genesis.certified, CERTIFICATES)
        self.own = Own(self.node)
        since = ticks_ms()
        while True:
            if await self._turn():
                if not self.door.closing:
                    since = ticks_ms()
                continue
            idle_ms = ticks_diff(ticks_ms(), since)
            if not self._engaged() and (self.door.closing or idle_ms > LINGER_MS):
                return
            if self.door.closing and self.door.asked is None and idle_ms > GRACE_MS:
                return
            try:
                await asyncio.wait_for(self.door.work.wait(), TICK_S)
            except asyncio.TimeoutError:
                pass
            self.door.work.clear()

    def _engaged(self) -> bool:
        asking = self.asking is not None and not self.asking.idle
        return asking or self.response is not None or self.ended is not None

    async def _turn(self) -> bool:
        """One thing that waits; whether there was one."""
        door = self.door
        if door.asked is not None and (self.asking is None or self.asking.over):
            self.asking = Asking(self, door.asked)
            await self.asking.begin()
        elif door.queue:
            await self._datagram(*door.queue.pop(0))
        elif self.asking is not None and await self.asking.turn():
            pass
        elif self.response is not None and ticks_diff(ticks_ms(), self.due) >= 0:
            await self._carry(await self._step(self.response.elapsed()))
        elif self.ended is not None and (self.final or ticks_diff(ticks_ms(), self.due) >= 0):
            await self._block()
        elif not self._engaged_as_n_j() and not door.closing and door.due() is not None:
            await self._respond(door.waiting.pop(door.due()))
        else:
            return False
        return True

    def _engaged_as_n_j(self) -> bool:
        return self.response is not None or self.ended is not None

    # broadcasts

    async def _datagram(self, kind: bytes, received: dict, data: bytes, ip: str) -> None:
        try:
            if kind == b"join_verification":
                await self._joined(received, data, ip)
            elif kind == b"verification_log":
                await self._logged(received, data, ip)
            else:
                await self._announced(data, ip)
        except FwError as error:
            self.counters.drop(error)

    async def _joined(self, join: dict, data: bytes, ip: str) -> None:
        if self.asking is not None and join["id"] == self.asking.id:
            await self._step(self.asking.fellows.receive(data))
            self.asking.joined()
            return
        works = self.door.works
        confirming = Confirming(
            self.me,
            self.genesis,
            self.authority,
            self.node.clock,
            self.counters,
            self._known,
            Replays(self.door.replays),
            lambda public: works.take(public, ip),
        )
        actions = await drive(confirming.receive(data))
        if actions:
            self.door.joined.append(join["id"])
            del self.door.joined[:-JOINED]
            self._know(join, ip)
            self.node.hooks.state("confirmed-fellow", version=join["v"].decode(), request=join["id"].hex())
            await self.node.lan.broadcast(actions[0][1])

    def _known(self, model: str, version: str) -> bytes | None:
        """The verifier of what runs here, when that is asked about (design: addition 7)."""
        return self.own.verifier if (model, version) == (self.me.model, self.own.version) else None

    def _know(self, received: dict, ip: str) -> None:
        self.door.curves.know(claimed(received, received["r"], self.genesis.certified), ip)
        self.door.works.know(claimed(received, received["r"], self.genesis.certified), ip)

    async def _logged(self, log: dict, data: bytes, ip: str) -> None:
        ledger = self.node.ledger
        if ledger.takes_logs:
            await ledger.take_log(data)
        if self.asking is not None and log["req"] == self.asking.id:
            before = self.asking.confirmed
            await self._step(self.asking.fellows.receive(data))
            if self.asking.confirmed > before:
                self._know(log, ip)
        if self.response is not None:
            await self._carry(await self._step(self.response.receive(data)))
        if self.ended is not None and log["req"] == log["from"] == self.ended.ask["from"]:
            self.final = data

    async def _announced(self, data: bytes, ip: str) -> None:
        """A block's announcement: its work first, then the signature over the message that names the port."""
        from fwnode.chain import header
        from fwnode.chain.head import Head
        from fwnode.trust import Untrusted

        received = message.parse(data)
        head = Head(received["block"], self.me.net)
        header.check_work(head.head, self.genesis.difficulty)
        public, _ = self.authority.claim(head.body)
        if not await drive(message.verify(received, public)):
            raise Untrusted("signature", "block: wrong signature")
        await self.node.ledger.take_head(received["block"], (ip, received["port"]), self)

    # n_j

    async def _respond(self, entry: list) -> None:
        """C2 step 2: a request's quiet while is over."""
        ip, data, _, quiet = entry
        response = Response(self.me, self.own, self.genesis, self.authority, self.node.clock, self.counters)
        try:
            asked = message.parse(data)
            public = claimed(asked, asked["r"], self.genesis.certified)
            if not self.door.curves.take(public, ip) or not self.may_connect(ip):
                return self.counters.count("busy")
            response.consider(data, (ip, asked["port"]), 0)
            if quiet and await drive(response.receive(quiet)):
                return self.node.hooks.state("quiet", request=asked["from"].hex())
            if asked["v"] == self.own.version.encode():
                if asked["from"] in self.door.joined:
                    return None  # others answer it already
                await drive(self.node.boot.verify())  # C2-2 step 2: n_j generates its verifier
                self.own = Own(self.node)
                response.own = self.own
                self.door.curves.expect(self.genesis.confirmations + 1)
        except FwError as error:
            return self.counters.drop(error)
        self.response = response
        actions = await self._step(response.elapsed())
        if response.state != OVER:
            self._know(asked, ip)
            self.node.hooks.state("answering", request=asked["from"].hex(), theirs=asked["v"].decode())
        await self._carry(actions)
        return None

    async def _step(self, steps) -> list:  # type: ignore[no-untyped-def]
        """Drive a machine; two messages that arrive together come one after the other."""
        async with self.lock:
            return await drive(steps)  # type: ignore[no-any-return]

    async def _carry(self, actions: list, replying: bool = False) -> bytes:
        """Do what the response node wants; what it sends goes back as the answer when `replying`."""
        response = self.response
        reply = b""
        if response is None:
            return reply
        self.due = ticks_add(ticks_ms(), response.wait_ms)
        for action in actions:
            if action[0] == BROADCAST:
                await self.node.lan.broadcast(action[1])
            elif action[0] == SEND and replying:
                reply = action[2]
            elif action[0] == SEND:
                await self._send(action[1], action[2])
            elif action[0] == END:
                await self._over(response, action[1], action[2])
        return reply

    async def _over(self, response: Response, outcome: str, why: str) -> None:
        self.response = None
        self.node.hooks.state("answered-fellow", outcome=outcome, why=why, request=response.ask["from"].hex())
        if outcome == ANSWERED and response.confirmations is not None:
            self.ended = response
            self.due = ticks_add(ticks_ms(), FINAL_MS)
        elif outcome == OUTDATED:
            await self._outdated(response)

    async def _outdated(self, response: Response) -> None:
        """C2-1 steps 7 to 14: ask a verification node for M and L; where none can be reached, n_i (addition 9)."""
        from fwnode.fetching import fetch
        from fwnode.roles.newer import C2_1

        fellow = (response.ask["from"], response.asker, response.source)
        found = await fetch(self, C2_1, response.r, fellow)
        if found is not None:
            self.node.offered = found
            self.node.wake.set()

    async def _block(self) -> None:
        """The block of a C2-2: its confirmations, and n_i's own log when it came."""
        ended, final = self.ended, self.final
        self.ended, self.final = None, b""
        from fwnode.blockmaking import make

        await make(self, ended.confirmations.logs, final)  # type: ignore[union-attr]

    # connections

    def may_connect(self, ip: str) -> bool:
        """One connection to an address in ten seconds, where a datagram alone named it (addition 10)."""
        seen, now = self.door.connected, ticks_ms()
        for one in list(seen):
            if ticks_diff(now, seen[one]) >= CONNECT_MS:
                del seen[one]
        if ip in seen or len(seen) >= 16:
            return False
        seen[ip] = now
        return True

    async def _send(self, source: tuple, data: bytes) -> None:
        try:
            await self.post(source, data)
        except NetError as error:
            self.node.hooks.state("unreached", where=source[0], why=str(error))

    async def post(self, source: tuple, data: bytes) -> bytes:
        """POST a message to (address, port) and return the answer; raises NetError."""
        url = "http://{}:{}{}".format(source[0], source[1], PATH)
        return await post(url, data, MAX_MESSAGE, self.node.local, POST_MS)

    async def on_message(self, body: bytes, ip: str) -> bytes:
        """A fellow's message over HTTP; returns the answer, b"" for none."""
        try:
            received = message.parse(body)
        except FwError as error:
            self.counters.drop(error)
            return b""
        if self.asking is not None and received["to"] == self.asking.id:
            return await self.asking.take(received, body, ip)
        response = self.response
        if response is not None and received["to"] == response.id and ip == response.source[0]:
            reply = await self._carry(await self._step(response.receive(body)), True)
            self.door.work.set()
            return reply
        self.counters.count("unasked")
        return b""
