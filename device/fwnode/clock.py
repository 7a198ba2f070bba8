"""The time as verification nodes told it, bound to r and signed (design: addition 4); never NTP alone.

The newest known time is kept in NVS: after a reset it is a lower bound that no answer can take back.
"""

from fwnode.compat import ticks_diff, ticks_ms

STALE_S = 7 * 86400


class Clock:
    """Seconds since 1970, or None while none was ever known. `keys` has `newest_time()` and `note_time(now)`."""

    def __init__(self, keys) -> None:  # type: ignore[no-untyped-def]
        self._keys = keys
        self._base = keys.newest_time()
        self._at = ticks_ms()
        self._uptime_ms = 0
        self._heard_ms: int | None = None

    def _advance(self) -> int:
        """Milliseconds since this boot; asked often enough, the tick counter's wrap goes unnoticed."""
        now = ticks_ms()
        self._uptime_ms += ticks_diff(now, self._at)
        self._at = now
        return self._uptime_ms

    def uptime_s(self) -> int:
        """Seconds since this boot."""
        return self._advance() // 1000

    def now(self) -> int | None:
        """The time now, at least the newest that was ever known."""
        if not self._base:
            return None
        heard = self._heard_ms if self._heard_ms is not None else 0
        return self._base + (self._advance() - heard) // 1000

    def told(self) -> int | None:
        """The time now when a verification node told it since this boot, else None.

        After a reset `now` counts on from NVS, which is only a lower bound: good for judging what has expired, but a
        message that said it would be refused as old.
        """
        return self.now() if self._heard_ms is not None else None

    def learn(self, seconds: int) -> None:
        """Take a verification node's fresh, signed time; it never goes back."""
        now = self.now()
        if now is None or seconds > now:
            self._base = seconds
            self._heard_ms = self._advance()
            self._keys.note_time(seconds)
        elif self._heard_ms is None:
            self._base = now
            self._heard_ms = self._advance()

    def stale(self, last_answer_s: int) -> bool:
        """Whether seven days of uptime went by since the uptime `last_answer_s`."""
        return self.uptime_s() - last_answer_s > STALE_S
