"""A node's part in the swarm: fetches the release that it installs, and seeds the one that it runs."""

from fwnode.compat import forget, tidy
from fwnode.swarm import Buffers, new_peer_id
from fwnode.swarm.resting import Resting
from fwnode.swarm.router import Router
from fwnode.update.recalls import recalled


class Sharing:
    """The peer-wire side of `node`: one port for both directions."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.router = Router()
        self.seeder: Resting | None = None
        self.buffers = Buffers(0)
        self.peer_id = new_peer_id()
        self.local = None  # type: object
        self.paused = False
        self.ones = None
        if node.config.wide_erase:
            from fwnode.update.wide import ones

            self.ones = ones()
            del ones
            forget("fwnode.update.wide")
            node.hooks.state("wide-erase", taken=self.ones is not None)

    async def on_peer(self, reader, writer, ip: str) -> None:  # type: ignore[no-untyped-def]
        """A connection of the peer wire, its first byte consumed."""
        await self.router.on_peer(reader, writer, ip)

    async def seed(self) -> None:
        """Serve the running release straight out of the slot; nothing when its bytes are not what was signed, or when
        it was recalled.
        """
        boot = self.node.boot
        if boot.release is None or not boot.genuine or self.seeder is not None or recalled(boot.keys, boot.verifier):
            return
        self.seeder = Resting(
            boot.release,
            boot.stream,
            self.peer_id,
            self.node.local,
            self.node.config.port,
            self.node.config.upload_kbps * 1024,
            self.event,
            self.buffers,
        )
        self.router.add(self.seeder)
        self.seeder.start()
        self.discover(self.seeder)
        self.node.hooks.state("seeding", version=boot.release.version, info_hash=boot.release.info_hash.hex())

    async def stop(self) -> None:
        """Seed no more."""
        if self.seeder is not None:
            self.router.remove(self.seeder)
            self.discover(None)
            await self.seeder.close()
            self.seeder = None

    async def download(self, release, storage, peers: list) -> None:  # type: ignore[no-untyped-def]
        """Fetch the whole of `release` into `storage`, serving what is there meanwhile; raises SwarmError."""
        if self.seeder is not None:
            await self.stop()  # a board has about ten sockets: one release at a time
            self.paused = True
        try:
            self.buffers.grow(1)  # before the code, while the heap is in large pieces
            tidy(2048)
            from fwnode.downloading import download

            tidy()
            await download(self, release, storage, peers)
        finally:
            self.buffers.shrink()

    async def again(self) -> None:
        """Seed on, after an update that came to nothing."""
        if self.paused:
            self.paused = False
            await self.seed()

    def discover(self, hub) -> None:  # type: ignore[no-untyped-def]
        """Announce `hub` on the local network and look for others (BEP 14), where that is on; None: no longer."""
        if self.local:
            self.local.stop()  # type: ignore[attr-defined]
            self.local = None
        if hub and self.node.config.discovery_port:
            from fwnode.swarm.localdisc import beside

            self.local = beside(self.node, hub)

    def event(self, kind: str, fields: dict) -> None:
        """What the swarm tells, passed on where it is of use."""
        if kind in ("resumed", "progress", "bad-piece", "banned", "web-seed", "local-peer"):
            self.node.hooks.state("swarm-" + kind, **fields)
