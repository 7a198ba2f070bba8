"""Why a download found no source, in one line; loaded when it has failed."""

from fwnode.swarm.dial import CHOKES


def why(hub) -> str:  # type: ignore[no-untyped-def]
    """One line on why there is no source."""
    for peer in hub.peers:
        if peer.asked:
            hub.reason("too slow")
        else:
            hub.reason(CHOKES if peer.wanting else "has nothing that we miss")
    parts = ["{} ({}x)".format(text, count) for text, count in sorted(hub.reasons.items())]
    if hub.announcer and hub.announcer.why:
        parts.append(hub.announcer.why)
    if not hub.web_seeds:
        parts.append("no web seed")
    return "no source for {} of {} pieces: {}".format(
        hub.missing, hub.release.piece_count, "; ".join(parts) or "no peers"
    )
