"""Keeps a full node's chain level with its peers'; one that is away is asked less and less often."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

from fwchain.chainstore.ledger import Ledger
from fwnode.errors import FwError

MOST = 8  # times the usual wait, while a peer is away
SPREAD = 0.2  # of each wait, at random, so that nodes do not ask in step


class Level:
    """Syncs `ledger` with the nodes at `urls`, about every `every_s` seconds, each by itself.

    `on_event(kind, **fields)` hears `unreached` once when a peer goes away, or fails otherwise, and `reached` when it
    is back.
    """

    def __init__(self, ledger: Ledger, urls: list[str], every_s: float, on_event: Callable[..., Any]) -> None:
        self.ledger = ledger
        self.urls = urls
        self.every_s = every_s
        self.on_event = on_event
        self._wakes: list[asyncio.Event] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; needs the running event loop."""
        self._wakes = [asyncio.Event() for _ in self.urls]
        pairs = zip(self.urls, self._wakes, strict=True)
        self._tasks = [asyncio.create_task(self._follow(url, wake)) for url, wake in pairs]

    def wake(self) -> None:
        """Something is missing here: ask now."""
        for wake in self._wakes:
            wake.set()

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _follow(self, url: str, wake: asyncio.Event) -> None:
        failures = 0
        while True:
            wake.clear()
            try:
                await self.ledger.level(url)
                if failures:
                    self.on_event("reached", where=url)
                failures = 0
            except FwError as error:
                if not failures:
                    self.on_event("unreached", where=url, why=str(error))
                failures += 1
            wait = self.every_s * min(MOST, 2 ** min(failures, 8))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake.wait(), wait * random.uniform(1 - SPREAD, 1 + SPREAD))
