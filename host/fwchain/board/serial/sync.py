"""Finds esptool's SYNC frame in what a client sends to a running board, and lets everything else
through.
"""

from __future__ import annotations

from fwchain.board.serial.loader import SYNC_FRAME


class SyncSpotter:
    """Holds back bytes only as long as they may still become a SYNC frame."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """(bytes for the program, what follows a SYNC frame or None when there was none)."""
        data = self._held + data
        self._held = b""
        at = data.find(SYNC_FRAME)
        if at >= 0:
            return data[:at], data[at + len(SYNC_FRAME) :]
        for length in range(min(len(SYNC_FRAME) - 1, len(data)), 0, -1):
            if SYNC_FRAME.startswith(data[-length:]):
                self._held = data[-length:]
                return data[:-length], None
        return data, None

    def give_up(self) -> bytes:
        """The bytes held back: no more came for a while, so they were no SYNC frame."""
        held, self._held = self._held, b""
        return held
