"""The tracker client of a board: HTTP (BEP 3) with compact peers (BEP 23), for the trackers that the release signs."""

import asyncio

from fwnode.compat import const, ticks_add, ticks_diff, ticks_ms
from fwnode.errors import FwError
from fwnode.net import http
from fwnode.swarm import SwarmError
from fwnode.wire.bencode import decode

MAX_ANSWER = const(2048)
WANTED = const(30)
MIN_INTERVAL_S = const(30)
MAX_INTERVAL_S = const(7200)
FIRST_RETRY_MS = const(5000)


def quote(data: bytes) -> str:
    """Percent-encode every byte that is no letter or digit."""
    return "".join([chr(b) if 48 <= b < 58 or 65 <= b < 91 or 97 <= b < 123 else "%{:02X}".format(b) for b in data])


def parse_peers(value) -> list:  # type: ignore[no-untyped-def]
    """[(ip, port)] of a tracker's `peers`, compact or a list of dictionaries; raises SwarmError.

    Addresses that no peer can have, and ports below 1024, are left out; an address counts twice at most.
    """
    rows = []
    if isinstance(value, bytes) and len(value) % 6 == 0:
        for at in range(0, len(value), 6):
            ip = "{}.{}.{}.{}".format(value[at], value[at + 1], value[at + 2], value[at + 3])
            rows.append((ip, value[at + 4] << 8 | value[at + 5]))
    elif isinstance(value, list):
        for row in value:
            ip, port = (row.get("ip"), row.get("port")) if isinstance(row, dict) else (None, None)
            if isinstance(ip, bytes) and isinstance(port, int) and all(b < 128 for b in ip):
                rows.append((ip.decode(), port))
    else:
        raise SwarmError("tracker: peers of no known form")
    kept = []  # type: list
    for ip, port in rows[:WANTED]:
        parts = ip.split(".")
        if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
            continue
        if 1024 <= port < 65536 and 0 < int(parts[0]) < 224 and sum(1 for row in kept if row[0] == ip) < 2:
            kept.append((ip, port))
    return kept


class Announcer:
    """Keeps a hub known to its trackers: the first that answers is used, the others are its fallbacks."""

    announce_ms = 8000  # for one tracker's whole answer

    def __init__(self, hub, urls: list) -> None:  # type: ignore[no-untyped-def]
        self.hub = hub
        self.urls = [url for url in urls if url.startswith("http://")]
        self.due = ticks_ms()
        self.retry_ms = FIRST_RETRY_MS
        self.event = "started"
        self.task = None
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
                except (FwError, OSError, ValueError) as error:
                    self.why = "{}: {}".format(url, error)
                    self.hub.event("tracker", url=url, error=str(error))
                    self.urls.remove(url)
                    self.urls.append(url)
                    continue
                self.event = ""
                self.why = ""
                self.retry_ms = FIRST_RETRY_MS
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
        hub = self.hub
        query = "info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}&left={}&compact=1&numwant={}".format(
            quote(hub.release.info_hash),
            quote(hub.peer_id),
            hub.port,
            sum(row[1] for row in hub.stats.values()),
            sum(row[0] for row in hub.stats.values()),
            min(hub.missing * hub.release.piece_length, hub.release.size),
            WANTED if hub.missing else 0,
        )
        if self.event:
            query += "&event=" + self.event
        url += ("&" if "?" in url else "?") + query
        try:
            body = await asyncio.wait_for(http.get(url, MAX_ANSWER, hub.local_ip, timeout_ms), timeout_ms / 1000)
        except asyncio.TimeoutError:
            raise SwarmError("no whole answer within {} ms".format(timeout_ms))
        answer = decode(body, False)
        if not isinstance(answer, dict):
            raise SwarmError("tracker: no dictionary")
        if "failure reason" in answer:
            raise SwarmError("tracker: {!r}".format(answer["failure reason"]))
        interval = answer.get("interval", 1800)
        if not isinstance(interval, int):
            raise SwarmError("tracker: interval is no number")
        return parse_peers(answer.get("peers", b"")), max(MIN_INTERVAL_S, min(MAX_INTERVAL_S, interval))
