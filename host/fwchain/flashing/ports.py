"""Finding the board: virtual ones that run on this machine, real ones on USB."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fwchain.board.serial import registry
from fwchain.flashing.errors import NO_PERMISSION, FlashingError, NoPort

# USB vendors of the serial bridges on ESP32 boards, and Espressif itself.
USB_VENDORS = {
    0x303A: "Espressif USB",
    0x10C4: "Silicon Labs CP210x",
    0x1A86: "WCH CH34x",
    0x0403: "FTDI",
    0x067B: "Prolific",
}


ANY = "any"


@dataclass(frozen=True)
class Candidate:
    """A port that may have a board on it."""

    port: str
    what: str


def virtual_boards() -> list[Candidate]:
    """Virtual boards that run now."""
    return [Candidate(entry.pty, f"virtual board {entry.name}") for entry in registry.running()]


def usb_boards() -> list[Candidate]:
    """USB serial ports that a board may hang on."""
    from serial.tools.list_ports import comports

    return [
        Candidate(port.device, f"{USB_VENDORS[port.vid]} {port.product or ''}".strip())
        for port in sorted(comports())
        if port.vid in USB_VENDORS
    ]


def candidates(board: str) -> list[Candidate]:
    """Ports that a board of this kind may be on; ANY: of whatever kind."""
    if board == ANY:
        return virtual_boards() + usb_boards()
    return virtual_boards() if board == "virtual" else usb_boards()


def choose(board: str, port: str | None) -> str:
    """The port to use: the one given, else the only one found; NoPort lists several, or says how.

    A virtual board's folder or name may stand for its port.
    """
    if port:
        return _usable(resolve(port))
    found = candidates(board)
    if len(found) == 1:
        return _usable(found[0].port)
    if found:
        rows = "".join(f"\n  {one.port}  {one.what}" for one in found)
        raise NoPort(f"several boards are there, choose one with PORT=… :{rows}")
    if board == "virtual":
        raise NoPort(
            "no virtual board with a serial port is running: `fwchain board new FOLDER`, then "
            "`fwchain board run FOLDER --serial` in another terminal, or give PORT=…"
        )
    if board == ANY:
        raise NoPort("no board found, neither on USB nor a virtual one that runs: give PORT=…")
    raise NoPort("no board found on USB: connect one (a cable with data wires), or give PORT=…")


def _usable(port: str) -> str:
    """The port, when it is there and may be opened: mpremote and ampy do not tell the one from the other."""
    if port.startswith("/") and not Path(port).exists():
        raise FlashingError(f"{port} cannot be opened: there is no such device; is the board connected?")
    if port.startswith("/") and not os.access(port, os.R_OK | os.W_OK):
        raise FlashingError(NO_PERMISSION.format(port=port))
    return port


def resolve(port: str) -> str:
    """A port's name as the tools take it: a board's folder or name becomes its pty."""
    for entry in registry.running():
        if port == entry.name or (entry.folder and _same(port, entry.folder)):
            return entry.pty
    path = Path(port)
    if "://" not in port and path.is_dir():
        raise FlashingError(f"{port} is a folder whose board does not run: `fwchain board run {port} --serial`")
    if path.is_symlink():
        return str(path.resolve())
    return port


def lines_of(port: str) -> str | None:
    """The port under which this board's reset lines can be reached; None where it has none."""
    for entry in registry.running():
        if port in (entry.pty, entry.rfc2217, entry.socket):
            return entry.rfc2217
    if port.startswith(("socket://", "/dev/pts/")):
        return None
    return port


def is_virtual(port: str) -> bool:
    """True when a virtual board of this machine is at `port`."""
    return any(port in (entry.pty, entry.rfc2217, entry.socket) for entry in registry.running())


def _same(port: str, folder: str) -> bool:
    try:
        return Path(port).resolve() == Path(folder).resolve()
    except OSError:
        return False
