"""Announces to trackers: HTTP (BEP 3) with compact peers (BEP 23). Loaded for each by fwnode.swarm.announcer."""

import asyncio

from fwnode.compat import const, ticks_add, ticks_ms
from fwnode.errors import FwError
from fwnode.net import http
from fwnode.swarm import SwarmError
from fwnode.swarm.announcer import FIRST_RETRY_MS
from fwnode.wire.decode import decode

MAX_ANSWER = const(2048)
_WANTED = const(30)
_MIN_INTERVAL_S = const(30)
_MAX_INTERVAL_S = const(7200)
_MAX_RETRY_MS = const(600000)
_GOODBYE_MS = const(2000)


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
            name, port = (row.get("ip"), row.get("port")) if isinstance(row, dict) else (None, None)
            if isinstance(name, bytes) and isinstance(port, int) and all(b < 128 for b in name):
                rows.append((name.decode(), port))
    else:
        raise SwarmError("tracker: peers of no known form")
    kept = []  # type: list
    for ip, port in rows[:_WANTED]:
        parts = ip.split(".")
        if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
            continue
        if 1024 <= port < 65536 and 0 < int(parts[0]) < 224 and sum(1 for row in kept if row[0] == ip) < 2:
            kept.append((ip, port))
    return kept


async def to_first(announcer) -> None:  # type: ignore[no-untyped-def]
    """Announce to the first tracker that answers; those that do not are asked last from then on."""
    hub = announcer.hub
    for url in list(announcer.urls):
        try:
            peers, interval = await announce(hub, url, announcer.event, announcer.announce_ms)
        except (FwError, OSError, ValueError, MemoryError) as error:
            announcer.why = "{}: {}".format(url, error)
            hub.event("tracker", url=url, error=str(error))
            announcer.urls.remove(url)
            announcer.urls.append(url)
            continue
        announcer.event = ""
        announcer.why = ""
        announcer.retry_ms = FIRST_RETRY_MS
        announcer.due = ticks_add(ticks_ms(), interval * 1000)
        hub.event("tracker", url=url, peers=len(peers), interval=interval)
        hub.candidates(peers)
        return
    announcer.due = ticks_add(ticks_ms(), announcer.retry_ms)
    announcer.retry_ms = min(2 * announcer.retry_ms, _MAX_RETRY_MS)


async def goodbye(announcer) -> None:  # type: ignore[no-untyped-def]
    """Tell the tracker that is used that there is nothing more to be had here."""
    try:
        await announce(announcer.hub, announcer.urls[0], announcer.event, _GOODBYE_MS)
    except (FwError, OSError, ValueError):
        pass  # the tracker forgets us by itself


async def announce(hub, url: str, event: str, timeout_ms: int) -> tuple:  # type: ignore[no-untyped-def]
    """Tell the tracker about `hub`; returns ([(ip, port)], seconds to the next). Raises SwarmError, NetError."""
    query = "info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}&left={}&compact=1&numwant={}".format(
        quote(hub.release.info_hash),
        quote(hub.peer_id),
        hub.port,
        sum(row[1] for row in hub.stats.values()),
        sum(row[0] for row in hub.stats.values()),
        min(hub.missing * hub.release.piece_length, hub.release.size),
        _WANTED if hub.missing else 0,
    )
    if event:
        query += "&event=" + event
    url += ("&" if "?" in url else "?") + query
    try:
        body: bytes = await asyncio.wait_for(http.get(url, MAX_ANSWER, hub.local_ip, timeout_ms), timeout_ms / 1000)
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
    return parse_peers(answer.get("peers", b"")), max(_MIN_INTERVAL_S, min(_MAX_INTERVAL_S, interval))
