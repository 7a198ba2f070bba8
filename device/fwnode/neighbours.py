"""C2 on the local network (paper 3.3.2): this board as n_j, as a confirming node, and as n_i where no verification
node answered. Loaded by fwnode.broadcasts while there is work for it, one exchange of each kind at a time.
"""

import asyncio

from fwnode.chain.authority import Authority, Signers
from fwnode.compat import const, drive, forget, room, ticks_add, ticks_diff, ticks_ms
from fwnode.credentials import Credentials
from fwnode.errors import FwError
from fwnode.gate import may_connect
from fwnode.net import NetError
from fwnode.net.http import post
from fwnode.net.messages import PATH
from fwnode.roles import BROADCAST, END, SEND
from fwnode.roles.identity import Counters
from fwnode.roles.log import ANSWERED
from fwnode.roles.strangers import Replays, claimed
from fwnode.trust.version import parse
from fwnode.update.recalls import recalled
from fwnode.wire import message
from fwnode.wire.fields import MAX_MESSAGE

_TYPING = const(0)

if _TYPING:
    from typing import Any  # noqa: F401 - in comments of types

_LINGER_MS = const(1500)  # loading costs more than staying for the next message
_GRACE_MS = const(5000)  # that an exchange gets to end when this board wants to ask a verification node
_FINAL_MS = const(4000)  # that n_j waits for n_i's log before it makes the block
_POST_MS = const(10000)
_CERTIFICATES = const(10)  # kept, so that a member's is checked once in an exchange
_MAX_JOINED = const(16)
_ROOM = const(4000)  # words of heap for one more role: its code and state, and an elliptic curve operation
TICK_S = 0.2
MAX_SHORT = const(8)  # times that the heap may run short before this load is given up
TRIES = const(3)  # of a message that finds no room
# what only reading the credentials needs
_CHAIN = ("fwnode.chain.genesis", "fwnode.chain.head", "fwnode.chain.merkle")
OPENING = ("fwnode.credentials", "fwnode.trust.root") + _CHAIN


class Own:
    """What this board runs, as fwnode.roles.response wants it."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        boot = node.boot
        self._files = boot.files
        self.version = boot.version
        self.verifier = boot.verifier if boot.genuine and not recalled(boot.keys, boot.verifier) else None
        self.info_hash = boot.release.info_hash if boot.release else b""
        self.address = (node.ip, node.config.port)

    @property
    def metainfo(self) -> bytes:
        """M as the vendor signed it, b"" when it is not at hand."""
        return (self.verifier and self._files.read("running.m")) or b""


class Parameters:
    """What the roles need of genesis, without the code that has checked it."""

    def __init__(self, genesis) -> None:  # type: ignore[no-untyped-def]
        self.net = genesis.net
        self.certified = genesis.certified
        self.difficulty = genesis.difficulty
        self.confirmations = genesis.confirmations


class Neighbours:
    """The roles for `node`, fed by `door` (fwnode.broadcasts.Broadcasts). `run` ends when there is nothing to do."""

    def __init__(self, node, door) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.door = door
        self.counters = Counters(node.dropped)
        self.asking = None  # type: Any  # fwnode.asking.Asking
        self.response = None  # type: Any  # fwnode.roles.response.Response
        self.ended = None  # type: Any  # one that has compared: n_i's own log is awaited for its block
        self.final = b""
        self.due = 0
        self.lock = asyncio.Lock()
        self.handling = 0  # messages over HTTP that are being looked at: they hold all of this
        self.short = 0
        self.again = b""  # the datagram that found no room last

    def wants(self, request: bytes) -> bool:
        """Whether a log of this request ID belongs to an exchange that runs here."""
        for response in (self.response, self.ended):
            if response is not None and response.ask["from"] == request:
                return True
        return self.asking is not None and self.asking.id == request

    async def run(self) -> None:
        """Do what waits, until nothing does, or until the board wants to check by itself."""
        await self._open()
        since = ticks_ms()
        while True:
            if await self._turned():
                if not self.door.closing:
                    since = ticks_ms()
                continue
            idle_ms = ticks_diff(ticks_ms(), since)
            if not self._engaged() and (self.door.closing or self.door.else_waits or idle_ms > _LINGER_MS):
                return
            if self.door.closing and self.door.asked is None and idle_ms > _GRACE_MS:
                return
            try:
                await asyncio.wait_for(self.door.work.wait(), TICK_S)
            except asyncio.TimeoutError:
                pass
            self.door.work.clear()

    async def _open(self) -> None:
        who = await Credentials(self.node).read()
        self.me = who.me
        self.genesis = Parameters(who.genesis)
        self.authority = Authority(Signers(who.root), self.genesis.certified, _CERTIFICATES)
        self.own = Own(self.node)
        del who
        forget(
            "fwnode.credentials",
            "fwnode.chain.genesis",
            "fwnode.chain.head",
            "fwnode.chain.merkle",
            "fwnode.trust.root",
        )

    def _engaged(self) -> bool:
        asking = self.asking is not None and not self.asking.idle
        return asking or self.response is not None or self.ended is not None or self.handling > 0

    async def _turned(self) -> bool:
        """`_turn`; what finds no room is tried again when others have come to their end, or late."""
        try:
            return await self._turn()
        except MemoryError as error:
            self.short += 1
            if self.short > MAX_SHORT:
                raise
            self.counters.drop(error)
            room(0)
            await asyncio.sleep(TICK_S)
            return True

    async def _turn(self) -> bool:
        """One thing that waits; whether there was one."""
        door = self.door
        if door.asked is not None and (self.asking is None or self.asking.over):
            from fwnode.asking import Asking

            self.asking = Asking(self, door.asked)
            await self.asking.begin()
        elif door.queue:
            await self._datagram(*door.queue.pop(0))
        elif self.asking is not None and await self.asking.turn():
            pass
        elif self.response is not None and ticks_diff(ticks_ms(), self.due) >= 0:
            await self._carry(await self._step(self.response.elapsed()))
        elif self.ended is not None and (self.final or ticks_diff(ticks_ms(), self.due) >= 0):
            door.logs = self.ended.confirmations.logs + [self.final]  # for the block of this C2-2
            self.ended, self.final = None, b""
        elif self._free() and door.due() is not None:
            entry = door.waiting.pop(door.due())
            if room(_ROOM):
                await self._respond(entry)
            else:
                self.counters.count("memory")
        else:
            return False
        return True

    def _free(self) -> bool:
        """Whether this board may answer a fellow: no other exchange, no check of its own, nothing else to load. Boards
        that ask at the same time answer each other, until something has come of what they asked themselves.
        """
        busy = (self.asking is not None and self.asking.engaged) or self.response is not None or self.ended is not None
        return not (busy or self.door.closing or self.door.else_waits)

    # broadcasts

    async def _datagram(self, join: bool, request: bytes, public: bytes, data: bytes, ip: str) -> None:
        try:
            if join:
                await self._joined(request, public, data, ip)
            else:
                await self._logged(request, public, data, ip)
        except MemoryError as error:
            if data is self.again:
                return self.counters.drop(error)
            self.again = data  # once more, when those that wait with it have made room
            self.door.queue.append((join, request, public, data, ip))
        except FwError as error:
            self.counters.drop(error)
        return None

    async def _joined(self, request: bytes, public: bytes, data: bytes, ip: str) -> None:
        if self.asking is not None and request == self.asking.id:
            await self._step(self.asking.fellows.receive(data))
            return self.asking.joined()
        from fwnode.roles.confirming import Confirming

        if not room(_ROOM):
            return self.counters.count("memory")
        confirming = Confirming(
            self.me,
            self.genesis,
            self.authority,
            self.node.clock,
            self.counters,
            self._known,
            Replays(self.door.replays),
            lambda public: self._may_work(public, ip),
        )
        actions = await self._step(confirming.receive(data))
        if actions:
            self.door.joined.append(request)
            del self.door.joined[:-_MAX_JOINED]
            self._know(public, ip)
            self.node.hooks.state("confirmed-fellow", version=self.own.version, request=request.hex())
            await self.node.lan.broadcast(actions[0][1])
        return None

    def _may_work(self, public: bytes, ip: str) -> bool:
        """Whether the owner of this key, whose signature is good, may have a proof of work."""
        works = self.door.works
        if self.genesis.certified:  # so is its certificate: it is a member, and no stranger's turn is used up
            works.know(public, ip)
        return works.take(public, ip)  # type: ignore[no-any-return]

    def _known(self, model: str, version: str) -> bytes | None:
        """The verifier of what runs here, when that is asked about (design: addition 7)."""
        return self.own.verifier if (model, version) == (self.me.model, self.own.version) else None

    def _know(self, public: bytes, ip: str) -> None:
        self.door.curves.know(public, ip)
        self.door.works.know(public, ip)

    async def _logged(self, request: bytes, public: bytes, data: bytes, ip: str) -> None:
        if self.asking is not None and request == self.asking.id:
            before = self.asking.confirmed
            await self._step(self.asking.fellows.receive(data))
            if self.asking.confirmed > before:
                self._know(public, ip)
        if self.response is not None and request == self.response.ask["from"]:
            await self._carry(await self._step(self.response.receive(data)))
        if self.ended is not None and request == self.ended.ask["from"] and public == self.ended.asker:
            self.final = data

    # n_j

    async def _respond(self, entry: list) -> None:
        """C2 step 2: a request's quiet while is over."""
        from fwnode.roles.response import JOINED, OVER, Response

        ip, data, _, quiet, _ = entry
        response = Response(self.me, self.own, self.genesis, self.authority, self.node.clock, self.counters)
        response.confirm_ms = int(self.node.config.confirm_s * 1000)
        try:
            asked = message.parse(data)
            if self.door.postpone(asked["from"], entry):
                return None
            public = claimed(asked, asked["r"], self.genesis.certified)
            if not self.door.curves.take(public, ip) or not may_connect(self.door.connected, ip):
                return self.counters.count("busy")
            response.consider(data, (ip, asked["port"]), 0)
            if self.own.verifier is None and parse(asked["v"]) <= parse(self.own.version):
                return self.counters.count("not-genuine")  # or recalled: nobody is told of it
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
        if response.state == JOINED and self.door.postpone(asked["from"], entry):
            self.response = None  # another was faster while this one computed
            return None
        if response.state != OVER:
            self._know(public, ip)
            self.node.hooks.state("answering", request=asked["from"].hex(), theirs=asked["v"].decode())
        await self._carry(actions)
        return None

    async def _step(self, steps) -> list:  # type: ignore[no-untyped-def]
        """Drive a machine; two messages that arrive together come one after the other, as the heap wants it too."""
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
                self._over(response, action[1], action[2])
        return reply

    def _over(self, response, outcome: str, why: str) -> None:  # type: ignore[no-untyped-def]
        from fwnode.roles.handing import C2_1
        from fwnode.roles.response import OUTDATED, UNCONFIRMED

        self.response = None
        self.node.hooks.state("answered-fellow", outcome=outcome, why=why, request=response.ask["from"].hex())
        if outcome == ANSWERED and response.confirmations is not None:
            self.ended = response
            self.due = ticks_add(ticks_ms(), _FINAL_MS)
        elif outcome == UNCONFIRMED:  # is it this board that runs something else?
            self.node.check_soon()
        elif outcome == OUTDATED and self.door.fetch is None:
            # C2-1 steps 7 to 14: a verification node is asked for M and L, or n_i (addition 9)
            self.door.fetch = (C2_1, response.r, [(response.ask["from"], response.asker, response.source)], None)

    # connections

    async def _send(self, source: tuple, data: bytes) -> None:
        try:
            await self.post(source, data)
        except NetError as error:
            self.node.hooks.state("unreached", where=source[0], why=str(error))

    async def post(self, source: tuple, data: bytes) -> bytes:
        """POST a message to (address, port) and return the answer; raises NetError."""
        url = "http://{}:{}{}".format(source[0], source[1], PATH)
        return await post(url, data, MAX_MESSAGE, self.node.local, _POST_MS)

    async def on_message(self, body: bytes, ip: str) -> bytes:
        """A fellow's message over HTTP; returns the answer, b"" for none."""
        self.handling += 1
        try:
            return await self._answered(body, ip)
        finally:
            self.handling -= 1

    async def _answered(self, body: bytes, ip: str) -> bytes:
        """`_message`; what finds no room is tried again."""
        for _ in range(TRIES):
            try:
                return await self._message(body, ip)
            except FwError as error:
                self.counters.drop(error)
                break
            except MemoryError as error:
                self.counters.drop(error)
                room(0)
                await asyncio.sleep(TICK_S)
        return b""

    async def _message(self, body: bytes, ip: str) -> bytes:
        received = message.parse(body)
        kind, to, port = message.kind_of(received), received["to"], received.get("port", 0)
        if self.asking is not None and to == self.asking.id:
            public = claimed(received, self.asking.r, self.genesis.certified) if kind == "res_verchk" else b""
            del received  # the roles parse it again: there is no room for both
            if public and not await self.asking.turn_of(public, ip):
                self.counters.count("busy")
                return b""
            return await self.asking.take(kind, port, body, ip)
        del received
        response = self.response
        if response is not None and to == response.id and ip == response.source[0]:
            reply = await self._carry(await self._step(response.receive(body)), True)
            self.door.work.set()
            return reply
        self.counters.count("unasked")
        return b""
