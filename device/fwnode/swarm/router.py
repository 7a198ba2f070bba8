"""Hands the peer-wire connections of the node's port to the release that each asks for."""

import asyncio

from fwnode.compat import const, forget
from fwnode.errors import FwError

_HANDSHAKE_S = const(5)
PEERING = (  # loaded while somebody is connected
    "fwnode.swarm.seed",
    "fwnode.swarm.bitfield",
    "fwnode.swarm.peer",
    "fwnode.swarm.wire",
    "fwnode.swarm.streams",
)


class Router:
    """The releases that this node serves or fetches, by info-hash."""

    def __init__(self) -> None:
        self.hubs = {}  # type: dict

    def add(self, hub) -> None:  # type: ignore[no-untyped-def]
        """Route connections for the hub's release to it, in place of an earlier hub's."""
        self.hubs[hub.release.info_hash] = hub

    def remove(self, hub) -> None:  # type: ignore[no-untyped-def]
        """Route no more to this hub."""
        info_hash = hub.release.info_hash
        if self.hubs.get(info_hash) is hub:
            del self.hubs[info_hash]

    async def on_peer(self, reader, writer, ip: str) -> None:  # type: ignore[no-untyped-def]
        """Serve a connection whose first byte (0x13) is consumed; returns at its end and closes nothing."""
        try:
            await self._serve(reader, writer, ip)
        except (FwError, OSError, asyncio.TimeoutError):
            pass  # a stranger's connection: it ends, and the node goes on
        finally:
            if not any(hub.peers or hub.missing or hub.users for hub in self.hubs.values()):
                forget(*PEERING)

    async def _serve(self, reader, writer, ip: str) -> None:  # type: ignore[no-untyped-def]
        from fwnode.swarm import wire
        from fwnode.swarm.streams import recv_all

        view = memoryview(bytearray(wire.HANDSHAKE - 1))
        await asyncio.wait_for(recv_all(reader, view), _HANDSHAKE_S)
        info_hash, theirs = wire.parse_handshake(view)
        hub = self.hubs.get(info_hash)
        if hub:
            await hub.serve(reader, writer, ip, theirs)
