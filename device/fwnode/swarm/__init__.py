"""BitTorrent on a board: the peer wire, the tracker client, download into flash, and seeding out of it.

A `Router` takes the connections that the node's port gets and hands each to the `Seeder` or `Download` of its
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
    """A node's buffers: for uploads once, at its start; for each source of a download for as long as that goes on (in
    between, elliptic curves want the room). They are of one sector, so that a heap in pieces has them.
    """

    def __init__(self, sources: int = 3) -> None:
        self.sectors = [memoryview(bytearray(SECTOR)) for _ in range(sources)]
        self.up = memoryview(bytearray(SECTOR + 13))  # a block's head and the first sector of it

    def grow(self, sources: int) -> None:
        """Take buffers for up to so many sources; raises MemoryError when there is not even one."""
        while len(self.sectors) < sources:
            try:
                self.sectors.append(memoryview(bytearray(SECTOR)))
            except MemoryError:
                if not self.sectors:
                    raise
                break  # fewer peers at once

    def shrink(self) -> None:
        """Let go of them."""
        self.sectors.clear()
