"""The verification node on the local network: it hears logs and blocks that are broadcast there, and tells of its own.

Requests are answered in HTTP alone. Without multicast the node serves all the same: logs and blocks come by HTTP too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fwchain.chainstore import announce
from fwchain.chainstore.ledger import Ledger
from fwchain.network import Network
from fwchain.verification.exchange import Exchange
from fwnode.errors import FwError
from fwnode.net import NetError
from fwnode.net.lan import Lan
from fwnode.roles.peers import MIN_PORT

BURST = 64  # messages that an address may send at once
PER_S = 10.0  # and go on sending, a second
MAX_ADDRESSES = 1024
AGAIN_S = 1.0


class Rate:
    """How much an address may send: so that one that floods costs no more than this, and the others nothing."""

    def __init__(self, burst: int = BURST, per_s: float = PER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._rows: dict[str, tuple[float, float]] = {}  # address: (what it may send, when that was so)

    def take(self, ip: str) -> bool:
        """Whether one more message of this address is looked at."""
        now = self._clock()
        left, at = self._rows.pop(ip, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_s)
        if len(self._rows) >= MAX_ADDRESSES:
            self._rows.pop(next(iter(self._rows)))
        self._rows[ip] = (left - 1 if left >= 1 else left, now)
        return left >= 1


class Ear:
    """Listens for `exchange` and `ledger` where the configuration says so; a failure to join is an event."""

    def __init__(self, network: Network, exchange: Exchange, ledger: Ledger, on_event: Callable[..., None]) -> None:
        self.network = network
        self.exchange = exchange
        self.ledger = ledger
        self.on_event = on_event
        self.rate = Rate()
        self.lan: Lan | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Join the group; needs the running event loop."""
        lan = self.network.config["lan"]
        listen = str(self.network.config["node"]["listen"])
        if not lan["join"]:
            return
        local = None if listen in ("0.0.0.0", "::") or ":" in listen else listen.replace("localhost", "127.0.0.1")
        try:
            self.lan = Lan(lan["group"], lan["port"], local)
        except (NetError, OSError) as error:
            self.on_event("error", what="lan", why=f"cannot join the multicast group, HTTP goes on: {error}")
            return
        self._loop = asyncio.get_running_loop()
        self._begin(self._hear(self.lan))
        self.on_event("joined", group=lan["group"], port=lan["port"])

    async def stop(self) -> None:
        """Leave it."""
        lan, self.lan = self.lan, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if lan is not None:
            lan.close()

    def tell(self, data: bytes) -> None:
        """Broadcast a message, from whatever thread."""
        if self.lan is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._send, data)

    def _send(self, data: bytes) -> None:
        if self.lan is not None:
            self._begin(self._broadcast(self.lan, data))

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _broadcast(self, lan: Lan, data: bytes) -> None:
        try:
            await lan.broadcast(data)
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
            if not self.rate.take(ip):
                self.exchange.counters.count("busy")
                continue
            try:
                await self._take(data, ip)
            except FwError as error:
                self.exchange.counters.drop(error)

    async def _take(self, data: bytes, ip: str) -> None:
        kind, received = self.exchange.heard(data)
        if kind == "log":
            await self.ledger.take_log(data)
        elif kind == "block":
            head = announce.check(received, self.network.genesis, int(time.time()), whole=False)
            if head.body.get("pu") != self.exchange.public:
                await self.ledger.take_head(received["block"], (ip, received.get("port", MIN_PORT - 1)))
