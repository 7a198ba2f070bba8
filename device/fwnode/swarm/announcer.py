"""When to announce and to whom: the trackers that the release signs, the first that answers."""

import asyncio

from fwnode.compat import forget, ticks_add, ticks_diff, ticks_ms
from fwnode.rare import HTTP

FIRST_RETRY_MS = 5000


class Announcer:
    """Keeps a hub known to its trackers: the first that answers is used, the others are its fallbacks."""

    announce_ms = 8000  # for one tracker's whole answer

    def __init__(self, hub, urls: list) -> None:  # type: ignore[no-untyped-def]
        self.hub = hub
        self.urls = [url for url in urls if url.startswith("http://")]
        self.due = ticks_ms()
        self.retry_ms = FIRST_RETRY_MS
        self.event = "started"
        self.task: asyncio.Task | None = None
        self.why = "" if self.urls else "no tracker"
        self.tried = not self.urls

    def tick(self, now: int) -> None:
        """Announce when it is time."""
        if self.urls and not self.task and ticks_diff(now, self.due) >= 0:
            self.task = asyncio.create_task(self._round())

    def completed(self) -> None:
        """Tell the tracker soon that the download is complete."""
        if self.event != "started":
            self.event = "completed"
            self.due = ticks_ms()

    def sooner(self, ms: int) -> None:
        """More peers are needed: announce in `ms` at the latest."""
        soon = ticks_add(ticks_ms(), ms)
        if ticks_diff(self.due, soon) > 0:
            self.due = soon

    async def stop(self) -> None:
        """Say `stopped` to a tracker that knows us."""
        if self.task:
            self.task.cancel()
        if self.urls and self.event != "started":
            self.event = "stopped"
            try:
                await self._run("goodbye")
            except MemoryError:
                pass  # the tracker forgets us by itself

    async def _round(self) -> None:
        try:
            await self._run("to_first")
        except MemoryError:
            self.why = "no room"
            self.due = ticks_add(ticks_ms(), self.retry_ms)
        finally:
            self.tried = True
            self.task = None

    async def _run(self, which: str) -> None:
        with HTTP:
            from fwnode.swarm import tracker

            try:
                await getattr(tracker, which)(self)
            finally:
                del tracker
                forget("fwnode.swarm.tracker")
