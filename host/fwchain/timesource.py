"""The time for what a full node says of its own blocks: its machine's, by which it judges the chain, too."""

from __future__ import annotations

import time


class SystemClock:
    """As fwnode.clock.Clock, of a machine that knows the time."""

    def told(self) -> int:
        """Seconds since 1970."""
        return int(time.time())
