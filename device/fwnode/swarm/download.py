"""Fetching a release from several peers at once into storage, while serving what is there already.

Each peer owns the pieces that it was asked for; at the end faster peers help slower ones. Silent, slow and lying peers
are dropped, and an HTTP source (BEP 19) steps in when peers give too little.
"""

import asyncio

from fwnode.compat import ticks_diff, ticks_ms
from fwnode.swarm import BLOCK, SECTOR, Buffers, SwarmError, Violation, bitfield, wire
from fwnode.swarm.dial import Dialler
from fwnode.swarm.endgame import help_block
from fwnode.swarm.patience import look
from fwnode.swarm.pieces import MIXED, Pieces
from fwnode.swarm.seed import Seeder
from fwnode.swarm.streams import ready, recv

STRIKES = 3  # a violation is one, a bad piece all


class Download(Seeder):
    """Fetches `release` into `storage` (`write`, `readinto`): `await run()`, then it seeds on until `close()`.

    `peers` is L: (ip, port) or (ip, port, complete). `check_first(sector)`, or else the storage's own, may refuse
    the stream by its first 4 KiB before anything is written. The class attributes are limits in milliseconds.
    """

    sources = 3  # peers that are asked at once, each with a buffer of one sector
    silent_ms = 10000  # asked, and no block began to arrive
    slow_ms = 10000  # window for `slow_rate`
    slow_rate = 1024  # bytes a second that a peer must reach
    choke_ms = 15000  # connected and never unchoked, while others wait
    web_ms = 4000  # window for `web_rate`
    web_rate = 16384  # bytes a second below which the web seed steps in
    give_up_ms = 90000  # without a new sector
    lonely_ms = 15000  # the same, with nobody left to ask
    help_ms = 700  # so long a wait for a block is borne before it is asked of another peer too

    def __init__(  # type: ignore[no-untyped-def]
        self,
        release,
        storage,
        peers,
        peer_id: bytes,
        local_ip=None,
        port: int = 0,
        trackers=None,
        web_seeds=None,
        up_rate: int = 0,
        check_first=None,
        on_event=None,
        buffers=None,
    ) -> None:
        none = bytearray((release.piece_count + 7) >> 3)
        buffers = buffers or Buffers(self.sources)
        super().__init__(release, storage, peer_id, local_ip, port, trackers, up_rate, none, on_event, buffers)
        check_first = check_first or getattr(storage, "check_first", None)
        self.pieces = Pieces(release, storage, none, check_first, self.up_view[:SECTOR])
        self.web_seeds = list(release.web_seeds if web_seeds is None else web_seeds)
        self.buffers = list(buffers.sectors)
        self.dialler = Dialler(self, peers)
        self.strikes = {}  # type: dict
        self.reasons = {}  # type: dict
        self.over = asyncio.Event()
        self.error: Exception | None = None
        self.ready = False
        self.web: asyncio.Task | None = None
        self.fetched = self.web_mark = self.wasted = self.bad = 0
        self.last = self.web_since = self.told = ticks_ms()

    async def run(self) -> None:
        """Fetch until every piece is held; raises SwarmError that says why not, or the storage's or check's error."""
        for _ in self.pieces.resume():
            if ticks_diff(ticks_ms(), self.turned) >= self.turn_ms:
                await asyncio.sleep(0)
                self.turned = ticks_ms()
        self.missing = len(self.pieces.todo)
        self.event("resumed", have=self.release.piece_count - self.missing, pieces=self.release.piece_count)
        self.last = self.web_since = ticks_ms()
        self.ready = True
        if self.missing:
            self.start()
            self.tick(ticks_ms())
            await self.over.wait()
        if self.error:
            await self.close()
            raise self.error
        self.event("complete", stats=self.stats, wasted=self.wasted, bad=self.bad)

    def fail(self, error: Exception) -> None:
        """End the download with `error`."""
        self.error = self.error or error
        self.over.set()

    async def close(self) -> None:
        """End every connection and attempt."""
        self.dialler.close()
        if self.web:
            self.web.cancel()
        await super().close()

    # ---- connections

    def candidates(self, peers: list) -> None:
        """More addresses of peers, from a tracker or local discovery."""
        self.dialler.add(peers)

    def banned(self, ip: str) -> bool:
        """Whether this address has lied."""
        return self.strikes.get(ip, 0) >= STRIKES

    def strike(self, ip: str, count: int) -> None:
        """Count against an address."""
        if not self.banned(ip) and len(self.strikes) < 64:
            self.strikes[ip] = self.strikes.get(ip, 0) + count
            if self.banned(ip):
                self.event("banned", ip=ip)

    def reason(self, text: str) -> None:
        """Remember why a source failed, for the error that may come."""
        if text in self.reasons or len(self.reasons) < 10:
            self.reasons[text] = self.reasons.get(text, 0) + 1

    def welcome(self, ip: str, theirs: bytes, dialled: bool) -> bool:
        """Banned addresses are not served, nor anybody before the storage is hashed."""
        return self.ready and not self.banned(ip) and super().welcome(ip, theirs, dialled)

    def left(self, peer) -> None:  # type: ignore[no-untyped-def]
        """Give what the peer was bringing to others."""
        self._account(peer)
        self.pieces.count(peer.bits, -1)
        peer.busy = -1
        self._drop_requests(peer)
        if peer.ended and self.missing:
            self.reason(peer.ended)
        super().left(peer)
        self.fill_all()

    def dropped(self, peer, violation: bool) -> None:  # type: ignore[no-untyped-def]
        """A violation counts against the address."""
        if violation:
            self.strike(peer.ip, 1)

    def offers(self, peer, index: int, last: bool = True) -> None:  # type: ignore[no-untyped-def]
        """Count the piece; say interested when it is one that we miss."""
        if index >= 0:
            self.pieces.avail[index] += 1
            if not peer.wanting and not bitfield.has(self.have, index):
                peer.want(True)
        if last:
            super().offers(peer, index)
            self.fill(peer)

    # ---- requests

    def choked(self, peer) -> None:  # type: ignore[no-untyped-def]
        """Requests are void now; blocks that were under way may still come."""
        self._drop_requests(peer)
        self.fill_all()

    def unchoked(self, peer) -> None:  # type: ignore[no-untyped-def]
        """Ask."""
        self.fill(peer)

    def _drop_requests(self, peer) -> None:  # type: ignore[no-untyped-def]
        peer.late = (peer.late + peer.asked)[-64:]
        peer.asked = []
        self.pieces.leave(peer)
        self._release(peer)

    def _release(self, peer) -> None:  # type: ignore[no-untyped-def]
        if peer.slot is not None and not peer.asked and peer.busy < 0:
            self.buffers.append(peer.slot)
            peer.slot = None

    def fill_all(self) -> None:
        """Ask every peer for what it can bring."""
        for peer in self.peers:
            self.fill(peer)

    def fill(self, peer) -> bool:  # type: ignore[no-untyped-def]
        """Keep the peer's pipeline full, if it serves us and a buffer is free for it; whether anything was asked."""
        if peer.choked or peer.ended or not self.missing or self.error:
            return False
        if peer.slot is None:
            if not self.buffers:
                return False
            peer.slot = self.buffers.pop()
        if not peer.asked:
            peer.moved = peer.came = peer.window = ticks_ms()
            peer.mark = peer.down
        length = self.release.piece_length
        wanted = b""
        while len(peer.asked) < peer.depth:
            offset = self._next(peer)
            if offset < 0:
                break
            peer.asked.append(offset)
            index = offset // length
            begin = offset % length
            wanted += wire.span(wire.REQUEST, index, begin, min(BLOCK, self.release.piece_size(index) - begin))
        if wanted:
            peer.post(wanted)
        self._release(peer)
        return wanted != b""

    def _next(self, peer) -> int:  # type: ignore[no-untyped-def]
        """The offset in the stream of the next block to ask `peer` for, or -1."""
        pieces = self.pieces
        if pieces.check_first and peer.asked:
            return -1  # the first piece is judged by its blocks in order
        for active in pieces.active.values():
            if active.owner is peer:
                offset = self._block(active, peer)
                if offset >= 0:
                    return offset
        active = pieces.pick(peer)
        if active:
            return self._block(active, peer)
        return help_block(self, peer) if not peer.asked and not pieces.check_first else -1

    def _block(self, active, peer) -> int:  # type: ignore[no-untyped-def]
        base = active.index * self.release.piece_length
        for begin in range(0, active.size, BLOCK):
            if base + begin not in peer.asked and not active.block_done(begin):
                return base + begin
        return -1

    # ---- arrivals

    async def take_block(self, peer, index: int, begin: int, size: int) -> None:  # type: ignore[no-untyped-def]
        """Stream a block that is arriving into the storage, sector by sector."""
        release = self.release
        offset = index * release.piece_length + begin
        called_off = offset not in peer.asked
        if called_off and offset not in peer.late:
            raise Violation("unrequested block")
        if size != min(BLOCK, release.piece_size(index) - begin):
            raise Violation("block of {} bytes".format(size))
        if called_off:
            peer.late.remove(offset)
            if not self._adopt(peer, index, begin):
                self.wasted += size
                await peer.skip(size)
                peer.down += size
                self._account(peer)
                return
        peer.busy = offset
        active = self.pieces.active.get(index)
        part = peer.slot
        reader = peer.reader
        ip = peer.ip
        want = SECTOR
        while size:
            if size < SECTOR:
                part = part[:size]
                want = size
            count = ready(reader, part)
            if count == want:
                peer.down += want
            else:
                await self._rest(peer, part, count or 0)
            if not active or not self.store(ip, active, begin, part):
                self.wasted += want
            begin += want
            size -= want
            if ticks_diff(ticks_ms(), self.turned) >= self.turn_ms:
                await asyncio.sleep(0)
                self.turned = ticks_ms()
        self._account(peer)
        peer.busy = -1
        if offset in peer.asked:
            peer.asked.remove(offset)
        now = ticks_ms()
        peer.pace = (3 * peer.pace + ticks_diff(now, peer.moved)) >> 2
        peer.moved = peer.came = now
        peer.depth = max(2, min(10, 150 // (peer.pace + 1)))
        self._cancel(offset)
        low = len(peer.asked) <= peer.depth >> 1  # several requests in one segment cost no more than one
        asked = low and self.fill(peer)
        self._release(peer)
        if low and peer.asked and not asked:
            peer.post(b"\0\0\0\0")  # no request carries the acknowledgement, and Nagle's algorithm waits for it

    async def _rest(self, peer, part, got: int) -> None:  # type: ignore[no-untyped-def]
        """Wait until `part`, whose first `got` bytes are there, is full."""
        peer.down += got
        while got < len(part):
            count = await recv(peer.reader, part[got:])
            if not count:
                raise SwarmError("closed by the peer")
            got += count
            peer.down += count
            peer.came = ticks_ms()

    def _account(self, peer) -> None:  # type: ignore[no-untyped-def]
        self.count(peer.ip, peer.down - peer.counted, 0)
        peer.counted = peer.down

    def _adopt(self, peer, index: int, begin: int) -> bool:  # type: ignore[no-untyped-def]
        """Whether a block that was called off by a choke or cancel, and comes all the same, is taken: if missing."""
        pieces = self.pieces
        active = pieces.active.get(index)
        wanted = index in pieces.todo if active is None else not active.block_done(begin)
        if not wanted or pieces.check_first or pieces.careful(index) or not (peer.slot or self.buffers):
            return False
        if active is None:  # who is choked cannot ask for the rest of it
            pieces.begin(index, None if peer.choked else peer)
        if peer.slot is None:
            peer.slot = self.buffers.pop()
        return True

    def store(self, ip: str, active, at: int, part) -> bool:  # type: ignore[no-untyped-def]
        """Take one sector from `ip`; returns whether it was new. Raises SwarmError when the source must end."""
        try:
            new = self.pieces.sector(ip, active, at, part)
            if new:
                self.fetched += len(part)
                self.last = ticks_ms()
                if not active.left:
                    self._finish(active)
        except SwarmError:
            raise
        except Exception as error:  # noqa: BLE001 - the storage's or the check's own ends the download
            self.fail(error)
            raise SwarmError("the download has ended")
        return new

    def _finish(self, active) -> None:  # type: ignore[no-untyped-def]
        index = active.index
        if not self.pieces.finish(active):
            self.bad += 1
            liar = active.source
            self.event("bad-piece", piece=index, ip=liar)
            if liar != MIXED:
                self.strike(liar, STRIKES)
                for peer in list(self.peers):
                    if peer.ip == liar:
                        peer.kill("sent a corrupt piece")
                raise Violation("sent a corrupt piece")
            self.fill_all()
            return
        self.missing -= 1
        self.event("piece", piece=index, left=self.missing)
        message = wire.have(index)
        for peer in list(self.peers):
            if not bitfield.has(peer.bits, index):
                peer.post(message)
            if not self.missing:
                peer.want(False)
                Seeder.offers(self, peer, -1)
        if not self.missing:
            if self.announcer:
                self.announcer.completed()
            self.over.set()
        elif index == 0:
            self.fill_all()

    def _cancel(self, offset: int) -> None:
        """Call off a block that has come, wherever else it was asked for."""
        index = offset // self.release.piece_length
        begin = offset % self.release.piece_length
        for peer in self.peers:
            if offset in peer.asked and peer.busy != offset:
                peer.asked.remove(offset)
                peer.late.append(offset)
                size = min(BLOCK, self.release.piece_size(index) - begin)
                peer.post(wire.span(wire.CANCEL, index, begin, size))
                self.fill(peer)

    # ---- time

    def tick(self, now: int) -> None:
        """Drop who is silent or slow, dial, call the web seed, and give up when nobody is left."""
        super().tick(now)
        if self.missing and not self.over.is_set():
            look(self, now)
