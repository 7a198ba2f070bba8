"""fwnode's node on a host: the same roles, checks and swarm; the port, the chain and installing differ."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fwchain import tasks
from fwchain.chainstore.hearing import KIND, Hearing
from fwchain.chainstore.ledger import Ledger
from fwchain.normal.held import Held
from fwchain.normal.holding import Holding
from fwnode import updating
from fwnode.broadcasts import Broadcasts
from fwnode.clock import Clock
from fwnode.config import Config
from fwnode.errors import FwError
from fwnode.found import Found
from fwnode.net.lan import Lan
from fwnode.node import Node
from fwnode.sharing import Sharing
from fwnode.wire import message

MAX_PEERS = 24  # connections that its seed takes; a board has about ten sockets in all
SLOTS = 8  # peers that it serves at once
AGAIN_S = 1.0
MAX_ARRIVED = 256  # datagrams for the chain that wait


class HostBroadcasts(Broadcasts):
    """A board's ear, and besides: logs and blocks are for the whole chain, whatever the node does meanwhile."""

    def __init__(self, node: HostNode, hearing: Hearing) -> None:
        super().__init__(node)
        self.hearing = hearing
        self.arrived: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(MAX_ARRIVED)

    def judge(self, data: bytes, ip: str) -> str:
        """As on a board, but for blocks, which are the chain's alone."""
        if ip == self.node.ip:
            return ""
        try:
            is_block = message.kind_of(message.parse(data)) == KIND
        except FwError:
            return "malformed"
        if self.arrived.full():
            return "busy"
        self.arrived.put_nowait((data, ip))
        reason: str = "" if is_block else super().judge(data, ip)
        return reason

    async def listen(self) -> None:
        """As on a board; where a board would begin anew by a reset, this goes on."""
        await self._for_ever(super().listen)

    async def serve(self) -> None:
        """As on a board; likewise."""
        await self._for_ever(super().serve)

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it was: the node answers the next one
                self.node.hooks.state("error", what="fellows", why=str(error) or repr(error))
                if self.asked is not None:
                    self.answer(Found())
                await asyncio.sleep(AGAIN_S)

    async def remember(self) -> None:
        """Take what was heard into the chain, for ever."""
        while True:
            await self.hearing.take(*await self.arrived.get())


class HostSharing(Sharing):
    """A board's part in the swarm, with room for more peers."""

    async def seed(self) -> None:
        """Serve what is held."""
        await super().seed()
        if self.seeder is not None:
            self.seeder.max_peers = MAX_PEERS
            self.seeder.slots = SLOTS


class HostLan(Lan):
    """The local network, on which this node does not hear itself: its own logs reach its pool from here."""

    def __init__(self, group: str, port: int, local: str | None, hearing: Hearing) -> None:
        super().__init__(group, port, local)
        self.hearing = hearing

    async def broadcast(self, data: bytes) -> None:
        """Send `data`, and take it."""
        await self.hearing.take_own(data)
        await super().broadcast(data)


class HostNode(Node):
    """A normal node that holds a release instead of running it. `ledger` is the whole chain."""

    installer: Any = Holding
    boot: Held
    lan: Any
    broadcasts: HostBroadcasts
    ledger: Any = None

    def __init__(
        self,
        config: Config,
        hooks: Any,
        held: Held,
        clock: Clock,
        ledger: Ledger,
        hearing: Hearing,
        listen: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config, hooks, held, clock, self._taken)
        self.ledger = ledger
        self.broadcasts = HostBroadcasts(self, hearing)
        self.sharing = HostSharing(self)
        self.remembering: asyncio.Task[None] | None = None
        self._listen = listen

    async def run(self) -> None:
        """As on a board; an update that was taken before the last end and is not told yet is told first."""
        self._taken()
        if updating.installed(self) is None:
            self.boot.outcome = None
        await super().run()

    async def listen(self) -> None:
        """Take connections on the node's one port."""
        await self._listen()
        self.remembering = asyncio.create_task(self.broadcasts.remember())
        boot = self.boot
        facts = {"version": boot.version, "slot": boot.place, "genuine": boot.genuine}
        self.hooks.state("started", ip=self.ip, port=self.config.port, trial=False, **facts)

    def _taken(self) -> None:
        """Where a board resets after an installation, this node goes on."""
        self.boot.outcome = ("updated", self.boot.version, "")

    async def end(self) -> None:
        """Let go of what `run` began."""
        await tasks.end([*self.tasks, *([self.remembering] if self.remembering else [])])
        if self.sharing.seeder is not None:
            await self.sharing.seeder.close()
        if self.lan is not None:
            self.lan.close()

    async def _follow(self, found: Found) -> bool:
        """As on a board; then what is held is served, and an update told at once."""
        answered: bool = await super()._follow(found)
        if found.release is not None:
            await self.sharing.seed()
            if self.boot.outcome is not None:
                updating.say_outcome(self)
                await updating.log_outcome(self)
        return answered
