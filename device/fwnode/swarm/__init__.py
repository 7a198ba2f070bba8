"""BitTorrent on a board: the peer wire, the tracker client, download into flash, and seeding out of it.

A `Router` takes the connections that the node's port gets and hands each to the `Resting` or `Download` of its
info-hash. `Download` is a `Seeder` that also fetches. What is rarely needed (web seed, local discovery) is loaded
when it is.
"""

import os

from fwnode.compat import const
from fwnode.errors import FwError

SECTOR = const(4096)
BLOCK = const(16384)


class SwarmError(FwError):
    """A download or an announce cannot go on; the text says why."""


class Violation(SwarmError):
    """A peer broke the protocol: its connection ends."""


def new_peer_id() -> bytes:
    """Twenty bytes: BEP 20's client and version, then random."""
    return b"-FW0001-" + os.urandom(12)


class Buffers:
    """A node's buffers: for uploads once, at its start, since later a heap in pieces might deny it; for the sources of
    a download for as long as that goes on (in between, elliptic curves want the room).
    """

    def __init__(self, sources: int = 3) -> None:
        self.sectors: list = []
        self.up = memoryview(bytearray(SECTOR + 13))  # a block's head and the first sector of it
        self.grow(sources)

    def grow(self, sources: int) -> None:
        """Take buffers for up to so many sources, where the heap has them: else fewer peers at once. Raises MemoryError
        where it has not even one.
        """
        try:
            while len(self.sectors) < sources:
                self.sectors.append(memoryview(bytearray(SECTOR)))
        except MemoryError:
            if not self.sectors:
                raise

    def shrink(self) -> None:
        """Let go of them."""
        self.sectors.clear()
