"""n_i among its fellows (paper 3.3.2), where no verification node answered: its request goes out by multicast; what
comes of it is found for the node, and told in a log. Loaded with fwnode.neighbours.
"""

import asyncio

from fwnode.compat import const, drive, ticks_add, ticks_diff, ticks_ms
from fwnode.found import Found
from fwnode.net import NetError
from fwnode.roles import END, SEND
from fwnode.roles.fellows import Fellows
from fwnode.roles.handing import C2_3, REPAIR
from fwnode.roles.log import ANSWERED, FAILED, TAMPERED, verification_log
from fwnode.wire import message

_SLACK_MS = const(10000)  # for the fellows' elliptic curves
_WINDOW_MS = const(500)  # from the first newer version to the choice
_TURNS = const(8)  # that an answer waits for its own: less than its sender waits
TURN_S = 0.5
_HAND_MS = const(30000)  # that fellows of an older version get to ask for M


class Asking:
    """One request of this board to its fellows; `engine` is fwnode.neighbours.Neighbours, `asked` (r, the request).

    It has what fwnode.roles.fellows.Fellows wants of a request node.
    """

    def __init__(self, engine, asked: tuple) -> None:  # type: ignore[no-untyped-def]
        self.engine = engine
        self.node = engine.node
        self.me = engine.me
        self.running = engine.node.boot.version
        self.clock = engine.node.clock
        self.counters = engine.counters
        self.r, self.data = asked
        self.id = message.node_id(self.me.public, self.r)
        self.verifier: bytes | None = None
        own = None if engine.node.boot.trial else engine.own  # what is on trial is not handed on
        self.fellows = Fellows(self, engine.genesis, engine.authority, own)
        self.outbox: list = []  # (source, message)
        self.ending: tuple | None = None
        self.over = False
        self.until = 0

    def measure(self):  # type: ignore[no-untyped-def]
        """Steps: H(fv), computed now."""
        yield from self.node.boot.verify()
        return self.node.boot.verifier

    @property
    def confirmed(self) -> int:
        """Confirmations that this board has counted."""
        return sum(fellow.confirmations.count for fellow in self.fellows.joins.values())

    @property
    def idle(self) -> bool:
        """Nothing is left to do, and nobody is waited for."""
        handing = any(not one.done for one in self.fellows.handings)
        return self.over and (not handing or ticks_diff(ticks_ms(), self.until) >= 0)

    @property
    def engaged(self) -> bool:
        """Something has come of it, or it hands over: no room, and no time, for answering fellows."""
        return not self.idle and (self.over or bool(self.fellows.joins or self.fellows.newer or self.fellows.older))

    async def begin(self) -> None:
        """Step 1: broadcast req_verchk."""
        engine = self.engine
        engine.door.curves.expect(engine.genesis.confirmations + 4)
        self._wait(2 * int(self.node.config.quiet_s * 1000) + _SLACK_MS)
        await self.node.lan.broadcast(self.data)

    def _wait(self, ms: int) -> None:
        self.until = ticks_add(ticks_ms(), ms)

    async def take(self, kind: str, port: int, body: bytes, ip: str) -> bytes:
        """A fellow's message of this exchange over HTTP; the answer for one that asks for M or L."""
        newer = len(self.fellows.newer)
        actions = await self.engine._step(self.fellows.receive(body, (ip, port)))
        if len(self.fellows.newer) > newer == 0:
            self._wait(_WINDOW_MS)
        self.engine.door.work.set()
        if kind in ("req_metadata", "req_download"):
            return actions[0][2] if actions else b""
        self._note(actions)
        return b""

    async def turn_of(self, public: bytes, ip: str) -> bool:
        """Whether this answer may cost a curve; a quick fellow's waits for the broadcasts that came before it."""
        door = self.engine.door
        for _ in range(_TURNS):
            if self.over:
                break
            if not (door.queue or self.engine.lock.locked()) and door.curves.take(public, ip):
                return True
            await asyncio.sleep(TURN_S)
        return False

    def _note(self, actions: list) -> None:
        for action in actions:
            if action[0] == SEND:
                self.outbox.append((action[1], action[2]))
            elif action[0] == END:
                self.ending = action

    async def turn(self) -> bool:
        """One thing that waits; whether there was one."""
        late = ticks_diff(ticks_ms(), self.until) >= 0
        if self.outbox:
            await self._send(*self.outbox[0])
            self.outbox.pop(0)
        elif self.over:
            return False
        elif self.fellows.newer and (late or self.ending is not None):  # news comes before a confirmation
            await self._newer()
        elif self.ending is not None:
            await self._compared(self.ending[1], self.ending[2])
        elif self.fellows.joins and late and not self.fellows.over and not self.ending:
            await self._finish("no {} confirmations in time".format(self.engine.genesis.confirmations))
        elif late:
            await self._finish("no fellow board answered")
        else:
            return False
        return True

    def joined(self) -> None:
        """A fellow calls for confirmations: they take their time."""
        if not self.fellows.newer:
            self._wait(int(self.node.config.confirm_s * 1000))

    async def _send(self, source: tuple, data: bytes) -> None:
        try:
            reply = await self.engine.post(source, data)
        except NetError as error:
            self.node.hooks.state("unreached", where=source[0], why=str(error))
            return
        if reply:
            self._note(await self.engine._step(self.fellows.receive(reply, source)))

    # what comes of it

    async def _compared(self, outcome: str, why: str) -> None:
        """C2-2 step 9: the verifiers were compared."""
        fellow = self.fellows.with_fellow
        found = self._found(fellow, outcome, why, "C2-2")
        found.confirmations = fellow.confirmations.count  # type: ignore[union-attr]
        await self._log(outcome, fellow.node)  # type: ignore[union-attr]
        if outcome == TAMPERED:
            self._fetch(found, REPAIR, [fellow])
        else:
            self._done(found)

    async def _newer(self) -> None:
        """C2-3 step 4: fellows run a higher version."""
        fellow = self.fellows.newer[0]
        await self._log(ANSWERED, fellow.node)
        self._fetch(
            self._found(fellow, FAILED, "no fellow hands over its newer version", "C2-3"), C2_3, self.fellows.newer
        )

    def _fetch(self, found: Found, k: int, fellows: list) -> None:
        """M and L come next, once the roles have made room."""
        door = self.engine.door
        door.asked = None
        door.fetch = (k, self.r, [(fellow.node, fellow.public, fellow.source) for fellow in fellows], found)
        self._over()

    async def _finish(self, why: str) -> None:
        """C2-1, or nobody."""
        found = Found()
        found.why = why
        found.reached = bool(self.fellows.joins)
        if self.fellows.older:
            found.answered = True
            found.outcome, found.case = "ahead", "C2-1"
            found.why = "{} fellows run an older version".format(self.fellows.older)
            await self._log(ANSWERED, self.id)
        self._done(found)

    def _found(self, fellow, outcome: str, why: str, case: str) -> Found:  # type: ignore[no-untyped-def]
        found = Found()
        found.answered = True
        found.url = "http://{}:{}".format(*fellow.source)
        found.outcome, found.why, found.case = outcome, why, case
        found.row = {
            "r": self.r,
            "res": fellow.node,
            "o": outcome.encode(),
            "v": self.running.encode(),
            "h": self.verifier or self.node.boot.verifier,
        }
        return found

    async def _log(self, outcome: str, response: bytes) -> None:
        """Tell everybody: n_j wants it for its block, and who still waits to answer goes quiet."""
        node = self.node
        verifier = self.verifier or node.boot.verifier
        now = node.clock.told() or 0
        steps = verification_log(self.me, self.r, response, now, outcome, self.running, verifier)
        data = await drive(steps)
        if outcome != ANSWERED:
            from fwnode import unsent  # while the exchange runs, its own messages need the room

            unsent.expect(node.boot.files, data)
            unsent.keep(node.boot.files, data)
        await node.lan.broadcast(data)

    def _done(self, found: Found) -> None:
        self.engine.door.answer(found)
        self._over()

    def _over(self) -> None:
        fellows = self.fellows
        if fellows.newest_root > self.engine.authority.root.number:
            url = "http://{}:{}".format(*fellows.root_source)  # type: ignore[misc]
            self.engine.door.behind = ([url], fellows.newest_root)
        self.over = True
        self._wait(_HAND_MS)
