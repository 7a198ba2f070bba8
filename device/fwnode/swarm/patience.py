"""How long a download waits: for a peer, until an HTTP source steps in (BEP 19), and for anything at all."""

import asyncio

from fwnode.compat import const, ticks_diff
from fwnode.swarm import SwarmError
from fwnode.swarm.dial import CHOKES

_QUIET_MS = const(20000)  # without a new sector; then the tracker is asked sooner
_PROGRESS_MS = const(1000)


def look(hub, now: int) -> None:  # type: ignore[no-untyped-def]
    """What a download (fwnode.swarm.download.Download) that misses something does about it at `now`."""
    waiting = hub.dialler.waiting(now)
    for peer in list(hub.peers):
        if peer.asked:
            _hurry(hub, peer, now)
        elif peer.dialled and waiting and ticks_diff(now, peer.since) > hub.choke_ms:
            if peer.choked and peer.wanting:
                peer.kill(CHOKES)
            elif not peer.wanting and not peer.interested:
                peer.kill("has nothing that we miss")
    hub.fill_all()
    hub.dialler.tick(now)
    _call_web(hub, now)
    quiet = ticks_diff(now, hub.last)
    if quiet > _QUIET_MS and hub.announcer:
        hub.announcer.sooner(60000)
    if quiet > hub.give_up_ms or (quiet > hub.lonely_ms and _lonely(hub, waiting)):
        from fwnode.swarm.why import why

        hub.fail(SwarmError(why(hub)))
    if ticks_diff(now, hub.told) > _PROGRESS_MS:
        hub.told = now
        hub.event("progress", left=hub.missing, pieces=hub.release.piece_count, fetched=hub.fetched)


def _hurry(hub, peer, now: int) -> None:  # type: ignore[no-untyped-def]
    """Drop a peer that was asked and is silent or slow."""
    if ticks_diff(now, peer.came) > hub.silent_ms:
        peer.kill("went silent")
    elif ticks_diff(now, peer.window) > hub.slow_ms:
        if (peer.down - peer.mark) * 1000 < hub.slow_rate * hub.slow_ms:
            peer.kill("too slow")
        peer.window = now
        peer.mark = peer.down


def _lonely(hub, waiting: bool) -> bool:  # type: ignore[no-untyped-def]
    tried = not hub.announcer or hub.announcer.tried
    return tried and not waiting and not hub.dialler.dials and not hub.peers and not hub.web


def _call_web(hub, now: int) -> None:  # type: ignore[no-untyped-def]
    span = ticks_diff(now, hub.web_since)
    starved = span > hub.web_ms and (hub.fetched - hub.web_mark) * 1000 < hub.web_rate * span
    if hub.web_seeds and not hub.web and (starved or _lonely(hub, hub.dialler.waiting(now))):
        from fwnode.swarm.webseed import WebSeed

        hub.web = asyncio.create_task(WebSeed(hub, hub.web_seeds[0]).run())
    if span > hub.web_ms:
        hub.web_since = now
        hub.web_mark = hub.fetched
