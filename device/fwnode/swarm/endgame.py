"""The end of a download: blocks that a slow peer was asked for are asked of a faster one too."""

from fwnode.compat import ticks_diff, ticks_ms
from fwnode.swarm import bitfield


def help_block(hub, peer) -> int:  # type: ignore[no-untyped-def]
    """The offset of a block that another peer was asked for and would take long to bring, the last of its queue first.

    What a peer has begun to send cannot be called off, so a short wait is better than the same bytes twice.
    """
    now = ticks_ms()
    patience = 2 * peer.pace + hub.help_ms
    length = hub.release.piece_length
    for other in hub.peers:
        if other is peer:
            continue
        late = ticks_diff(now, other.moved)
        for place in range(len(other.asked) - 1, -1, -1):
            if max(other.pace * (place + 1), late) < patience:
                break
            offset = other.asked[place]
            index = offset // length
            active = hub.pieces.active.get(index)
            if active and bitfield.has(peer.bits, index) and not hub.pieces.careful(index):
                if not active.block_done(offset % length):
                    return offset
    return -1
