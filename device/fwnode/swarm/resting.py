"""A release that this node seeds: known to its trackers all the time, its connections' code loaded only while there is
one (fwnode.swarm.seed and what fwnode.swarm.router names).
"""

import asyncio

from fwnode.compat import ticks_ms
from fwnode.swarm.announcer import Announcer

TICK_S = 1


class Resting:
    """Seeds `release` out of `storage`; a hub as `Router` and `Announcer` want one. Its arguments are `Seeder`'s."""

    missing = 0
    max_peers = 4
    slots = 4

    def __init__(self, release, storage, peer_id, local_ip, port, up_rate, on_event, buffers) -> None:  # type: ignore[no-untyped-def]
        self.release = release
        self.storage = storage
        self.peer_id = peer_id
        self.local_ip = local_ip
        self.port = port
        self.up_rate = up_rate
        self.event_to = on_event
        self.buffers = buffers
        self.stats = {}  # type: dict
        self.seeder = None  # type: object
        self.users = 0
        self.next_up = ticks_ms()  # when the upload limit lets the next block go
        self.announcer = Announcer(self, release.trackers)
        self.ticker: asyncio.Task | None = None

    @property
    def peers(self) -> list:
        """Those that are connected."""
        return self.seeder.peers if self.seeder else []  # type: ignore[attr-defined,no-any-return]

    def start(self) -> None:
        """Begin to announce; needs the running event loop."""
        self.ticker = asyncio.create_task(self._ticks())

    async def close(self) -> None:
        """End every connection and say `stopped` to the trackers."""
        if self.ticker:
            self.ticker.cancel()
        if self.seeder:
            await self.seeder.close()  # type: ignore[attr-defined]
        await self.announcer.stop()

    async def _ticks(self) -> None:
        while True:
            try:
                self.announcer.tick(ticks_ms())
            except MemoryError:
                pass  # another turn may find room
            await asyncio.sleep(TICK_S)

    def event(self, kind: str, **fields) -> None:  # type: ignore[no-untyped-def]
        """Tell the node."""
        self.event_to(kind, fields)

    def candidates(self, peers: list) -> None:
        """Addresses of peers, from a tracker; who has everything looks for nobody."""

    async def serve(self, reader, writer, ip: str, theirs: bytes) -> str:  # type: ignore[no-untyped-def]
        """Take a connection whose handshake has been read; as `Seeder.serve`."""
        self.users += 1
        try:
            if self.seeder is None:
                self.seeder = self._seeder()
            return await self.seeder.serve(reader, writer, ip, theirs)  # type: ignore[attr-defined,no-any-return]
        finally:
            self.users -= 1
            if not self.users and self.seeder:
                seeder, self.seeder = self.seeder, None
                self.next_up = seeder.next_up  # type: ignore[attr-defined]
                await seeder.close()  # type: ignore[attr-defined]

    def _seeder(self):  # type: ignore[no-untyped-def]
        from fwnode.swarm.seed import Seeder

        seeder = Seeder(
            self.release,
            self.storage,
            self.peer_id,
            self.local_ip,
            up_rate=self.up_rate,
            on_event=self.event_to,
            buffers=self.buffers,
        )
        seeder.max_peers, seeder.slots = self.max_peers, self.slots
        seeder.stats, seeder.next_up = self.stats, self.next_up
        seeder.start()
        return seeder
