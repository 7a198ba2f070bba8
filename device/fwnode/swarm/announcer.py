"""When to announce and to whom: the trackers that the release signs, the first that answers."""

import asyncio

from fwnode.compat import const, forget, ticks_add, ticks_diff, ticks_ms
from fwnode.errors import FwError
from fwnode.rare import HTTP

_FIRST_RETRY_MS = const(5000)


class Announcer:
    """Keeps a hub known to its trackers: the first that answers is used, the others are its fallbacks."""

    announce_ms = 8000  # for one tracker's whole answer

    def __init__(self, hub, urls: list) -> None:  # type: ignore[no-untyped-def]
        self.hub = hub
        self.urls = [url for url in urls if url.startswith("http://")]
        self.due = ticks_ms()
        self.retry_ms = _FIRST_RETRY_MS
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
                await self._announce(self.urls[0], 2000)
            except FwError:
                pass  # the tracker forgets us by itself

    async def _round(self) -> None:
        try:
            for url in list(self.urls):
                try:
                    peers, interval = await self._announce(url, self.announce_ms)
                except (FwError, OSError, ValueError, MemoryError) as error:
                    self.why = "{}: {}".format(url, error)
                    self.hub.event("tracker", url=url, error=str(error))
                    self.urls.remove(url)
                    self.urls.append(url)
                    continue
                self.event = ""
                self.why = ""
                self.retry_ms = _FIRST_RETRY_MS
                self.due = ticks_add(ticks_ms(), interval * 1000)
                self.hub.event("tracker", url=url, peers=len(peers), interval=interval)
                self.hub.candidates(peers)
                return
            self.due = ticks_add(ticks_ms(), self.retry_ms)
            self.retry_ms = min(2 * self.retry_ms, 600000)
        finally:
            self.tried = True
            self.task = None

    async def _announce(self, url: str, timeout_ms: int) -> tuple:
        with HTTP:
            from fwnode.swarm.announce import announce

            try:
                return await announce(self.hub, url, self.event, timeout_ms)
            finally:
                del announce
                forget("fwnode.swarm.announce")
