"""What the store raises besides the chain's own errors."""

from __future__ import annotations

from fwchain.errors import HostError


class StoreError(HostError):
    """The database is gone, full, locked or damaged; nothing was half-written. The service answers
    503.
    """
