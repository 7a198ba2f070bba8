"""fwnode's node on a host: the same roles, checks and swarm; the port, the chain and installing differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fwchain.chainstore.ledger import Ledger
from fwchain.normal.held import Held
from fwchain.normal.holding import Holding
from fwnode.clock import Clock
from fwnode.compat import drive
from fwnode.config import Config
from fwnode.errors import FwError
from fwnode.node import EXCHANGE, Node
from fwnode.update import ImageError
from fwnode.wire.bencode import encode

MAX_PEERS = 24  # connections that its seed takes; a board has about ten sockets in all
SLOTS = 8  # peers that it serves at once


class HostNode(Node):
    """A normal node that holds a release instead of running it. `ledger` is the whole chain."""

    boot: Held
    lan: Any

    def __init__(
        self,
        config: Config,
        hooks: Any,
        held: Held,
        clock: Clock,
        ledger: Ledger,
        listen: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config, hooks, held, clock, lambda: None)
        self.ledger = ledger
        self._listen = listen

    async def listen(self) -> None:
        """Take connections on the node's one port."""
        await self._listen()
        config = self.config
        self.hooks.state(
            "started",
            version=self.boot.version,
            ip=self.ip,
            port=config.port,
            slot=self.boot.place,
            genuine=self.boot.genuine,
            trial=False,
        )

    async def _sync(self, url: str) -> None:
        """Level with who answered; a check is good without it."""
        try:
            await self.ledger.sync(url)
        except FwError as error:
            self.hooks.state("error", what="chain", why=str(error))

    async def _update(self, found: Any) -> None:
        """As on a board, but the node goes on: what it holds is served again, and the outcome told at once."""
        try:
            await super()._update(found)
        finally:
            await self.serve()
        self._say_outcome()
        await self._log_outcome()

    async def serve(self) -> None:
        """Seed what is held, to more peers than a board can."""
        await self.sharing.seed()
        if self.sharing.seeder is not None:
            self.sharing.seeder.max_peers = MAX_PEERS
            self.sharing.seeder.slots = SLOTS

    async def _install(self, release: Any, peers: list[Any], row: dict[str, Any]) -> None:
        config = self.config
        taking = Holding(self.boot, release, config.model, config.platform, self.clock.now(), self.clock.uptime_s())
        if not self.hooks.may_update(release):
            self.hooks.state("held", version=release.version)
            return
        try:
            await self.sharing.download(release, taking.storage, peers)
            self.boot.files.write(EXCHANGE, encode(row))  # before it is held: then it is told, whatever comes between
            await drive(taking.finish())
        except ImageError:
            taking.reject()
            raise
        self.boot.outcome = ("updated", release.version, "")
        self.hooks.state("installed", version=release.version, slot=self.boot.place)
