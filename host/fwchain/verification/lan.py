"""The verification node on the local network: it hears logs and blocks that are broadcast there, and tells of its own.

Requests are answered in HTTP alone. Without multicast the node serves all the same: logs and blocks come by HTTP too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fwchain.chainstore.hearing import Hearing
from fwchain.network import Network
from fwnode.net import NetError
from fwnode.net.lan import Lan

AGAIN_S = 1.0


class Ear:
    """Listens where the configuration says so, and passes on to `hearing`; a failure to join is an event."""

    def __init__(self, network: Network, hearing: Hearing, on_event: Callable[..., None]) -> None:
        self.network = network
        self.hearing = hearing
        self.on_event = on_event
        self.lan: Lan | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Join the group; needs the running event loop."""
        lan = self.network.config["lan"]
        listen = str(self.network.config["node"]["listen"])
        if not lan["join"]:
            return
        local = None if listen == "0.0.0.0" or ":" in listen else listen.replace("localhost", "127.0.0.1")
        try:
            self.lan = Lan(lan["group"], lan["port"], local)
        except (NetError, OSError) as error:
            self.on_event("error", what="lan", why=f"cannot join the multicast group, HTTP goes on: {error}")
            return
        self._task = asyncio.create_task(self._hear(self.lan))
        self.on_event("joined", group=lan["group"], port=lan["port"])

    async def stop(self) -> None:
        """Leave it."""
        lan, self.lan = self.lan, None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if lan is not None:
            lan.close()

    async def tell(self, data: bytes) -> None:
        """Broadcast a message."""
        try:
            if self.lan is not None:
                await self.lan.broadcast(data)
        except NetError as error:
            self.on_event("error", what="lan", why=str(error))

    async def _hear(self, lan: Lan) -> None:
        while True:
            try:
                data, ip = await lan.receive()
            except NetError as error:
                self.on_event("error", what="lan", why=str(error))
                await asyncio.sleep(AGAIN_S)
                continue
            await self.hearing.take(data, ip)
