"""What fellow boards broadcast on the local network: judged here by what costs nothing, answered by fwnode.neighbours.

Size, shape, network, ID, time and the gate come first (design: additions 10 and 11). A request is answered only when a
quiet while has gone by without its sender saying that it is answered (addition 8). The C2 roles, elliptic curves with
them, are loaded while something has passed all of this, and let go again.
"""

import asyncio
import hashlib

from fwnode.compat import const, randbelow, ticks_add, ticks_diff, ticks_ms, tidy
from fwnode.errors import FwError
from fwnode.found import Found
from fwnode.gate import Gate
from fwnode.wire.decode import decode_dict

_TYPING = const(0)

if _TYPING:
    from typing import Any  # noqa: F401 - in comments of types

MAX_DATAGRAM = const(1200)
MAX_QUEUE = const(6)  # datagrams of up to a kilobyte
MAX_HEADS = const(2)
_MAX_HEARD = const(8)
MAX_WAITING = const(4)  # requests at once that a quiet while runs for
MAX_SKEW_S = const(120)
CURVE_MS = const(5000)  # a stranger's turn for elliptic curves
_MEMBER_MS = const(1000)
WORK_MS = const(60000)  # a stranger's proof of work
_MEMBER_WORK_MS = const(5000)
BURST = const(8)
SAMPLE = const(16)  # of a larger network only about so many answer a request
_PLAYING = const(4096)  # bytes between two collections: garbage must not lie between what stays
IP = const(0)
DATA = const(1)
DUE = const(2)
QUIET = const(3)
_LATER = const(4)
_TOO_LATE_MS = const(5000)  # who asked has given up by then
PAUSE_S = 1  # until the local network is listened to again, after an error
_LATER_MS = const(10000)  # that another answer gets to come to its end, and as much again at random


class Broadcasts:
    """The board's ear on the local network. `node` is fwnode.node.Node."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.net = (node.boot.keys.get("genesis") or b"")[:8]
        self.curves = Gate(CURVE_MS, BURST, _MEMBER_MS)
        self.works = Gate(WORK_MS, 1, _MEMBER_WORK_MS)
        self.queue: list = []  # (whether a join, request ID, sender's key, datagram, address), let in, for the roles
        self.heads: list = []  # (datagram, address): announcements of blocks, let in
        self.logs: list = []  # of a C2-2 that this board answered, for its block: confirmations, then n_i's log or b""
        self.waiting: dict = {}  # a request's ID: [address, datagram, due, n_i's log that it is answered, postponed]
        self.replays: list = []  # of join_verification (fwnode.roles.strangers.Replays)
        self.connected: dict = {}  # addresses that a datagram named: when this board connected there
        self.heard: list = []  # IDs of requests that somebody calls for confirmations of
        self.joined: list = []  # IDs of requests that others answer already, as this board has confirmed
        self.short = 0
        self.work = asyncio.Event()
        self.closing = False  # this board is about to check by itself: no new work
        self.engine = None  # type: Any  # the loaded roles (fwnode.neighbours.Neighbours)
        self.asked: tuple | None = None  # (r, req_verchk): this board's own request to fellows
        self.behind: tuple | None = None  # (URLs, number): a fellow has newer trust roots
        self.fetch: tuple | None = None  # (k, r, fellows, found): M and L wanted (fwnode.fetching); for `ask`, or None
        self.found = Found()
        self.done = asyncio.Event()

    async def listen(self) -> None:
        """Take datagrams for ever."""
        while True:
            try:
                data, ip = await self.node.lan.receive()
                reason = self.judge(data, ip)
            except MemoryError:
                reason = "memory"
            except FwError:  # the network is away: nothing that comes from there may end this task
                reason = "lan"
                await asyncio.sleep(PAUSE_S)
            if reason:
                self.node.drop(reason)
            else:
                self.work.set()

    # the cheap checks

    def judge(self, data: bytes, ip: str) -> str:
        """Queue the datagram, or say in a word why not; "" also for what needs no more than was done here."""
        if ip == self.node.ip:
            return ""  # multicast comes back to its sender
        try:
            received = decode_dict(data, "message", MAX_DATAGRAM)
            if received["net"] != self.net:
                return "network"
            kind = received["t"]
            if kind == b"verification_log":
                return self._log(received, data, ip)
            sender = received
            if kind == b"block":
                sender = decode_dict(received["block"], "block", MAX_DATAGRAM)
            public = self._claimed(sender, received)
            now = self.node.clock.told()
            if received["ts"] and now is not None and abs(received["ts"] - now) > MAX_SKEW_S:
                return "time"
            if kind == b"req_verchk":
                return self._request(received, data, ip)
            if kind == b"join_verification":
                if len(received["id"] + b"") != 20:  # only bytes can be added to
                    return "malformed"
                if received["d"] != self.node.config.model.encode():
                    return "model"
            elif kind != b"block":
                return "type"
        except (FwError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return "malformed"
        # a block waits while this board checks: the next one may be a long time away
        if (kind != b"block" and (self.closing or self._full())) or not self.curves.take(public, ip):
            return "busy"
        if kind == b"block":
            self.heads.append((data, ip))
            del self.heads[:-MAX_HEADS]
            return ""
        if kind == b"join_verification" and received["v"] == self.node.boot.version.encode():
            self.heard = (self.heard + [received["id"]])[-_MAX_HEARD:]
            if received["id"] in self.waiting:
                self.postpone(received["id"], self.waiting[received["id"]])
        self.queue.append((True, received["id"], public, data, ip))
        return ""

    def _claimed(self, sender: dict, received: dict) -> bytes:
        """The key that `sender` names, the message's ID made from it; raises an error where that is not so."""
        if "cert" in sender:
            public = decode_dict(sender["cert"], "cert", 400)["pu"]
        elif self.node.config.open or sender is not received:  # a verification node signs blocks without certificate
            public = sender["pu"]
        else:
            raise KeyError("cert")
        if hashlib.sha256(public + received["r"].to_bytes(8, "big")).digest()[:20] != received["from"]:
            raise ValueError("from")
        return public  # type: ignore[no-any-return]

    def _request(self, received: dict, data: bytes, ip: str) -> str:
        """A req_verchk: answered after the quiet while, unless its sender is answered by then."""
        if received["d"] != self.node.config.model.encode():
            return "model"
        if not self._near(ip):
            return "subnet"
        if received["from"] in self.waiting or received["from"] in self.joined:
            return "replay"
        if self.node.boot.update_only or self.node.boot.trial or len(self.waiting) >= MAX_WAITING:
            return "busy"
        if randbelow(max(self.curves.members, SAMPLE)) >= SAMPLE:
            return ""
        spread_ms = int(self.node.config.quiet_s * 1000)
        wait_ms = spread_ms * 3 // 4
        if received["v"] == self.node.boot.version.encode():  # C2-2, after C2-3: news comes before a confirmation
            wait_ms *= 2
            spread_ms = spread_ms * (4 + self.curves.members) // 4  # the more there are, the less they speak at once
        due = ticks_add(ticks_ms(), wait_ms + randbelow(spread_ms + 1))
        self.waiting[received["from"]] = [ip, data, due, b"", False]
        return ""

    def postpone(self, request: bytes, entry: list) -> bool:
        """Whether another node calls for confirmations already: let it end, once; its word alone silences nobody."""
        if entry[_LATER] or request not in self.heard:
            return False
        entry[_LATER] = True
        entry[DUE] = ticks_add(ticks_ms(), _LATER_MS + randbelow(_LATER_MS))
        self.waiting[request] = entry
        return True

    def _near(self, ip: str) -> bool:
        """Whether an address lies in this board's own subnet: an answer goes nowhere else (addition 10)."""
        rows = zip(ip.split("."), self.node.ip.split("."), self.node.mask.split("."))
        return all((int(theirs) ^ int(ours)) & int(mask) == 0 for theirs, ours, mask in rows)

    def _log(self, received: dict, data: bytes, ip: str) -> str:
        """A log: n_i's own silences its waiting request; the rest belongs to an exchange of the loaded roles."""
        own = received["req"] == received["from"]
        entry = self.waiting.get(received["req"]) if own else None
        if entry is not None and entry[IP] == ip:
            entry[QUIET] = data
        if self.engine is None or not self.engine.wants(received["req"]):
            return ""
        public = self._claimed(received, received)
        if self._full() or not (own or self.curves.take(public, ip)):
            return "busy"
        self.queue.append((False, received["req"], public, data, ip))
        return ""

    def _full(self) -> bool:
        """Whether the queue is; the datagram may then come again: it is sent three times."""
        full = len(self.queue) >= MAX_QUEUE
        if full:
            self.node.lan.again()
        return full

    # the loaded roles

    async def serve(self) -> None:
        """Load the roles when there is work for them, for ever."""
        while True:
            try:
                await self._turn()
            except MemoryError:
                self.node.drop("memory")
                await asyncio.sleep(PAUSE_S)
                self.work.set()

    async def _turn(self) -> None:
        try:
            await asyncio.wait_for(self.work.wait(), self._sleep_s())
        except asyncio.TimeoutError:
            pass
        self.work.clear()
        if self.asked is not None or (not self.closing and (self.queue or self.due() is not None)):
            await self._load(self._play)
            if self.asked is not None:  # it could not be asked to its end
                self.answer(Found())
        if self.behind is not None:  # what an older trust root let count is asked for under the newest
            await self._load(self._afterwards, "catch_up")
        if self.fetch is not None:
            await self._load(self._afterwards, "fetch")
            self._give_up_fetch()
        if self.chain_waits:
            await self._load(self._afterwards, "chain")
            if self.chain_waits:  # more has come, or there was no room
                await asyncio.sleep(PAUSE_S)
                self.work.set()

    def _give_up_fetch(self) -> None:
        """M and L that could not even be asked for, for want of room: who waits for them learns it."""
        if self.fetch is not None:
            found, self.fetch = self.fetch[3], None
            if found is not None:
                self.answer(found)

    async def _load(self, phase, *which) -> None:  # type: ignore[no-untyped-def]
        """One thing at a time is loaded, and let go: a heap has no room for all of them."""
        node = self.node
        async with node.turn:
            with node.rare:
                tidy(2048)
                try:
                    await phase(*which)
                except (FwError, MemoryError, OSError) as error:
                    node.hooks.state("error", what="fellows", why=str(error) or repr(error))

    async def _play(self) -> None:
        """The roles."""
        from fwnode.neighbours import Neighbours

        tidy(_PLAYING)
        try:
            self.engine = Neighbours(self.node, self)
            await self.engine.run()  # type: ignore[attr-defined]
        finally:
            self.engine = None
            self.queue.clear()
            tidy()

    async def _afterwards(self, which: str) -> None:
        """What the roles made room for."""
        from fwnode import afterwards

        await getattr(afterwards, which)(self)

    @property
    def chain_waits(self) -> bool:
        """Whether there is a block to look at or to make."""
        return bool(self.heads or self.logs) and not self.closing

    @property
    def else_waits(self) -> bool:
        """Whether something waits that the roles make room for."""
        return self.fetch is not None or self.behind is not None or self.chain_waits

    def _sleep_s(self) -> float:
        if self.closing or not self.waiting:
            return 3600
        soonest = min(ticks_diff(entry[DUE], ticks_ms()) for entry in self.waiting.values())
        return max(soonest, 0) / 1000

    def due(self) -> bytes | None:
        """The ID of a request whose quiet while is over; one that waits for too long since is let go."""
        for node in list(self.waiting):
            late = ticks_diff(ticks_ms(), self.waiting[node][DUE])
            if late > _TOO_LATE_MS:
                del self.waiting[node]
            elif late >= 0:
                return node  # type: ignore[no-any-return]
        return None

    async def ask(self, asked: tuple) -> Found:
        """This board's request (r, encoded) goes to its fellows (C2); what they answered."""
        self.found = Found()
        self.asked = asked
        self.done.clear()
        self.work.set()
        await self.done.wait()
        found, self.found = self.found, Found()
        return found

    def answer(self, found: Found) -> None:
        """What came of `ask`."""
        self.asked = None
        self.found = found
        self.done.set()

    def give_way(self) -> None:
        """A check by this board itself comes first: no new work, and what runs ends soon (C2 never delays C1)."""
        self.closing = True
        self.work.set()

    def resume(self) -> None:
        """Work is taken again."""
        self.closing = False
        self.work.set()
