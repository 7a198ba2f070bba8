"""Serving a release's pieces to others, straight out of the storage that holds them.

`Seeder` is the hub of one release's connections: fair choking, one upload buffer, an upload limit, bytes counted by
address, announces. `Download` builds on it.
"""

import asyncio

from fwnode.compat import const, randbelow, ticks_add, ticks_diff, ticks_ms
from fwnode.swarm import Buffers, Violation, bitfield
from fwnode.swarm.announcer import Announcer

_MAX_STATS = const(32)


class Seeder:
    """Seeds `release` out of `storage` (its `readinto(offset, buffer)`); `have` is a bitfield, all pieces if None.

    `up_rate` is in bytes a second, 0 without limit. `on_event(kind, fields)` hears what happens. Connections come
    through `serve` (a `Router` calls it). `port` is told to trackers; 0: no announces.
    """

    users = 0  # connections whose peer has not joined yet, where somebody counts them (fwnode.swarm.resting)
    max_peers = 4  # connections taken from others
    slots = 4  # peers served at once
    tick_ms = 250
    idle_ms = 150000  # silent for so long: dropped
    stuck_ms = 60000  # asked, and took not one block in so long: dropped
    rechoke_ms = 10000
    turn_ms = 20  # at most so long without letting other tasks run

    def __init__(  # type: ignore[no-untyped-def]
        self,
        release,
        storage,
        peer_id: bytes,
        local_ip=None,
        port: int = 0,
        trackers=None,
        up_rate: int = 0,
        have=None,
        on_event=None,
        buffers=None,
    ) -> None:
        self.release = release
        self.storage = storage
        self.peer_id = peer_id
        self.local_ip = local_ip
        self.port = port
        self.up_rate = up_rate
        self.on_event = on_event
        self.have = bitfield.full(release.piece_count) if have is None else have
        self.missing = release.piece_count - bitfield.count(self.have)
        self.peers = []  # type: list
        self.stats = {}  # type: dict
        self.up_view = (buffers or Buffers(0)).up
        self.next_up = self.turned = ticks_ms()
        self.next_rechoke = self.next_up
        self.lucky = None
        self.ticker: asyncio.Task | None = None
        self.announcer = Announcer(self, release.trackers if trackers is None else trackers) if port else None

    # ---- life

    def start(self) -> None:
        """Begin to announce and to mind the connections; needs the running event loop."""
        if not self.ticker:
            self.ticker = asyncio.create_task(self._ticks())

    async def close(self) -> None:
        """End every connection and say `stopped` to the trackers."""
        if self.ticker:
            self.ticker.cancel()
            self.ticker = None
        for peer in list(self.peers):
            peer.kill("closing")
        if self.announcer:
            await self.announcer.stop()
        await asyncio.sleep(0)

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(self.tick_ms / 1000)
            try:
                self.tick(ticks_ms())
            except MemoryError:
                pass  # another turn may find room

    def tick(self, now: int) -> None:
        """What time brings: dead connections, keep-alives, another turn of choking, announces."""
        for peer in list(self.peers):
            if peer.idle(now) > self.idle_ms:
                peer.kill("silent")
            elif ticks_diff(now, peer.sent) > self.idle_ms // 2:
                peer.sent = now
                peer.post(b"\0\0\0\0")
            elif peer.queue and ticks_diff(now, peer.sent) > self.stuck_ms:
                peer.kill("does not read")
            elif not peer.choking and not peer.queue and ticks_diff(now, peer.sent) > 3000:
                self._pass_on(peer)
        if ticks_diff(now, self.next_rechoke) >= 0:
            self.next_rechoke = ticks_add(now, self.rechoke_ms)
            self.rechoke(True)
        if self.announcer:
            self.announcer.tick(now)

    def event(self, kind: str, **fields) -> None:  # type: ignore[no-untyped-def]
        """Tell the node."""
        if self.on_event:
            self.on_event(kind, fields)

    # ---- connections

    async def serve(self, reader, writer, ip: str, theirs: bytes, dialled: bool = False) -> str:  # type: ignore[no-untyped-def]
        """Take a connection whose handshake has been read; returns when and why it has ended, and closes nothing."""
        if not self.welcome(ip, theirs, dialled):
            return "not welcome"
        from fwnode.swarm import wire  # see fwnode.swarm.router: there is a peer, so these are loaded
        from fwnode.swarm.peer import Peer
        from fwnode.swarm.streams import send_all

        if not dialled:
            await send_all(writer, wire.handshake(self.release.info_hash, self.peer_id))
        peer = Peer(self, reader, writer, ip, theirs, dialled)
        # a task of its own, so that ending the connection does not cancel the caller
        await asyncio.create_task(peer.run())
        return peer.ended

    def welcome(self, ip: str, theirs: bytes, dialled: bool) -> bool:
        """Whether one more connection with this peer is taken; of two the one that the greater ID opened stays."""
        if theirs == self.peer_id:
            return False
        for peer in self.peers:
            if peer.theirs == theirs:
                if peer.dialled is dialled or (self.peer_id > theirs) is not dialled:
                    return False
                peer.kill("connected twice")
                return True
        if dialled:
            return True
        same = sum(1 for peer in self.peers if peer.ip == ip and not peer.dialled)
        return same < 2 and sum(1 for peer in self.peers if not peer.dialled) < self.max_peers

    def joined(self, peer) -> None:  # type: ignore[no-untyped-def]
        """A connection begins."""
        self.peers.append(peer)
        if self.missing < self.release.piece_count:
            from fwnode.swarm import wire

            bits = bytes(self.have)
            peer.post((1 + len(bits)).to_bytes(4, "big") + bytes((wire.BITFIELD,)) + bits)

    def left(self, peer) -> None:  # type: ignore[no-untyped-def]
        """A connection has ended."""
        if peer in self.peers:
            self.peers.remove(peer)
            if peer.interested:
                self.rechoke(False)
        self.event("peer-left", ip=peer.ip, why=peer.ended, down=peer.down, up=peer.up)

    def dropped(self, peer, violation: bool) -> None:  # type: ignore[no-untyped-def]
        """A connection broke, by a violation of the protocol or otherwise."""

    def offers(self, peer, index: int, last: bool = True) -> None:  # type: ignore[no-untyped-def]
        """The peer has a piece (-1: its whole bitfield was read; `last`: nothing more follows at once)."""
        if last and not self.missing and bitfield.count(peer.bits) == self.release.piece_count:
            peer.kill("both complete")

    def candidates(self, peers: list) -> None:
        """Addresses of peers, from a tracker; who has everything looks for nobody."""

    def choked(self, peer) -> None:  # type: ignore[no-untyped-def]
        """The peer serves us no longer."""

    def unchoked(self, peer) -> None:  # type: ignore[no-untyped-def]
        """The peer serves us now."""

    async def take_block(self, peer, index: int, begin: int, size: int) -> None:  # type: ignore[no-untyped-def]
        """A block's bytes are the next on the connection; a seeder asked for none."""
        raise Violation("unrequested block")

    # ---- upload

    def rechoke(self, turn: bool) -> None:
        """Unchoke whom there is room for; at a `turn` choose anew: who gives most, who got least, and one by lot."""
        wanting = [peer for peer in self.peers if peer.interested]
        if turn or self.lucky not in wanting:
            self.lucky = wanting[randbelow(len(wanting))] if wanting else None
        for peer in self.peers:
            if not peer.interested:
                peer.choke(True)
        if turn and len(wanting) > self.slots:
            wanting.sort(key=_merit)
            chosen = wanting[: self.slots - 1]
            if self.lucky not in chosen:
                chosen.append(self.lucky)
            for peer in wanting:
                peer.choke(peer not in chosen)
        served = sum(1 for peer in wanting if not peer.choking)
        for peer in wanting:
            if served < self.slots and peer.choking:
                peer.choke(False)
                served += 1
        if turn:
            for peer in self.peers:
                peer.turn_down = peer.down
                peer.turn_up = peer.up

    def _pass_on(self, peer) -> None:  # type: ignore[no-untyped-def]
        """A slot that its peer does not use goes to one who waits."""
        if any(other.interested and other.choking for other in self.peers):
            peer.choke(True)
            self.peers.remove(peer)
            self.peers.append(peer)
            self.rechoke(False)

    async def turn(self, size: int) -> None:
        """Wait for this upload's turn under the limit; without one, only let the others run."""
        wait = 0
        if self.up_rate:
            now = ticks_ms()
            if ticks_diff(now, self.next_up) > 0:
                self.next_up = now
            wait = ticks_diff(self.next_up, now)
            self.next_up = ticks_add(self.next_up, max(1, size * 1000 // self.up_rate))
        await asyncio.sleep(wait / 1000)

    def count(self, ip: str, down: int, up: int) -> None:
        """Count bytes by the peer's address; beyond 32 addresses under `*`."""
        row = self.stats.get(ip)
        if row is None:
            if len(self.stats) >= _MAX_STATS:
                ip = "*"
            row = self.stats.setdefault(ip, [0, 0])
        row[0] += down
        row[1] += up


def _merit(peer) -> tuple:  # type: ignore[no-untyped-def]
    return (peer.turn_down - peer.down, peer.up - peer.turn_up, peer.up)
