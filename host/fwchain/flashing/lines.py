"""Resetting a board by DTR and RTS, and listening to what it says."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from fwchain.flashing.errors import FlashingError, explain
from fwchain.flashing.ports import lines_of

HOLD_S = 0.1
SETTLE_S = 0.05


def open_port(port: str, **options):  # type: ignore[no-untyped-def]
    """A pyserial port; FlashingError with a sentence when it cannot be opened."""
    import serial

    try:
        return serial.serial_for_url(port, baudrate=115200, **options)
    except (OSError, ValueError) as error:
        raise FlashingError(explain("pyserial", port, str(error))) from None


def reset(port: str, download: bool = False) -> None:
    """Pulse EN; with `download`, GPIO0 is low meanwhile, so that the ROM waits for esptool."""
    lines = lines_of(port)
    if lines is None:
        raise FlashingError(
            f"{port} has no reset lines: press the board's RESET button"
            + (", with BOOT held" if download else "")
            + ", or give its rfc2217:// port"
        )
    with open_port(lines) as link:
        try:
            link.dtr = False
            link.rts = True
            time.sleep(HOLD_S)
            link.dtr = download
            link.rts = False
            time.sleep(SETTLE_S)
            link.dtr = False
        except OSError:
            raise FlashingError(f"{port} has no reset lines: press the board's RESET button") from None


def monitor(port: str, write: Callable[[bytes], object] | None = None, seconds: float | None = None) -> None:
    """Pass on what the board says until interrupted, or for `seconds`. Nothing is sent."""
    sink = write or _stdout
    end = None if seconds is None else time.monotonic() + seconds
    with open_port(port, timeout=0.2) as link:
        while end is None or time.monotonic() < end:
            try:
                data = link.read(max(1, link.in_waiting))
            except OSError:
                raise FlashingError(f"{port} has gone: the board was unplugged or stopped") from None
            if data:
                sink(data)


def _stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
