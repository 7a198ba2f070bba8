"""Memory of releases that failed: refused for good, or tried again after 1, 6 and 24 hours (design, addition 12).

Kept as one blob in NVS. A release is known by its verifier, so signing the same bytes anew changes nothing.
Waits are told by the clock where a time is known, else by the time since this boot, which errs on the late side.
"""

from fwnode.update.keys import KeyStore
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode

WAITS = (3600, 6 * 3600, 24 * 3600)  # seconds after the first, second, each further failure
MAX_CRASHES = 2
_MAX_ROWS = 8
_ID = 16  # bytes of the verifier

# row: [verifier's first 16 bytes, tries, crashes, refused for good, not before (seconds since 1970, 0 = unknown)]


class Failures:
    """The memory, read from NVS at each call: it is asked rarely."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    def find(self, verifier: bytes) -> list:
        """The release's row; one of zeros when it never failed."""
        for row in self._rows():
            if row[0] == verifier[:_ID]:
                return row
        return [verifier[:_ID], 0, 0, 0, 0]

    def record(self, verifier: bytes, tries: int, crashes: int, final: bool) -> None:
        """Note that try number `tries` failed, with `crashes` so far; `final` refuses the release for good.

        Numbers are set, not added to, so that noting one failure twice (a power cut between this and what marks
        it as noted) counts once.
        """
        row = self.find(verifier)
        if tries > row[1]:
            row[1] = tries
            row[4] = 0
        row[2] = max(row[2], crashes)
        row[3] |= int(final or crashes >= MAX_CRASHES)
        self._put(row)

    def forget(self, verifier: bytes) -> None:
        """The release proved good (or the owner asks): remove its row."""
        self._put([verifier[:_ID], 0, 0, 0, 0])

    @staticmethod
    def wait(row: list) -> int:
        """Seconds to wait after the failures of `row`."""
        return WAITS[min(row[1], len(WAITS)) - 1]

    def blocked(self, verifier: bytes, now, uptime_s: int):  # type: ignore[no-untyped-def]
        """None when the release may be tried; else (reason, seconds to wait or None for good).

        `now` is None when no time is known; `uptime_s` counts from this boot.
        """
        row = self.find(verifier)
        if row[3]:
            return "failed", None
        if not row[1]:
            return None
        left = self.wait(row) - uptime_s
        if now:
            if not 0 < row[4] <= now + WAITS[-1]:  # not fixed yet, or by a clock that was wrong
                row[4] = now + max(left, 0)
                self._put(row)
            left = row[4] - now
        return ("wait", left) if left > 0 else None

    def _rows(self) -> list:
        raw = self._keys.get("fail")
        try:
            rows = decode(raw) if raw else []
        except WireError:
            return []
        return rows if isinstance(rows, list) else []

    def _put(self, row: list) -> None:
        """Replace the row of its release; those that may be tried again make room first, oldest first."""
        rows = [other for other in self._rows() if other[0] != row[0]]
        if row[1]:
            rows.append(row)
        while len(rows) > _MAX_ROWS:
            oldest = 0
            while oldest < len(rows) - 1 and rows[oldest][3]:
                oldest += 1
            rows.pop(0 if oldest == len(rows) - 1 else oldest)
        self._keys.put("fail", encode(rows))
