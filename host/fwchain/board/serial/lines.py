"""DTR and RTS, and the two-transistor circuit that turns them into EN and GPIO0 on most development
boards.

RTS alone pulls EN low (reset); DTR alone pulls GPIO0 low (download). Both or none: neither. The
capacitor on EN keeps the chip in reset while a program walks from one state to the next a line at a
time, so that the boot mode is taken from what DTR is when RTS lets go. Source: Espressif's "Boot
Mode Selection", automatic bootloader.
"""

from __future__ import annotations

from collections.abc import Callable


class ModemLines:
    """Feeds on DTR and RTS as a client sets them; calls `boot(download)` when the chip leaves
    reset.
    """

    def __init__(self, boot: Callable[[bool], None], hold: Callable[[], None]) -> None:
        self._boot = boot
        self._hold = hold
        self._dtr = False
        self._rts = False
        self._held = False

    def set(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set one line or both; None leaves a line as it is."""
        if dtr is not None:
            self._dtr = dtr
        if rts is not None:
            self._rts = rts
        if self._rts and not self._dtr and not self._held:
            self._held = True
            self._hold()
        elif self._held and not self._rts:
            self._held = False
            self._boot(self._dtr)

    def release(self) -> None:
        """The client has gone: both lines fall; a board held in reset runs."""
        held = self._held
        self._dtr = self._rts = self._held = False
        if held:
            self._boot(False)
