"""The files that a deployed board has: fwnode as .mpy, and the two that MicroPython starts."""

from __future__ import annotations

from collections.abc import Iterable

from fwchain import resources
from fwchain.board import compact

LIBRARY = "/lib/fwnode"

STARTERS = ("boot.py", "main.py")


def library(mentions: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Path on the board → content, for what a board needs of fwnode, compiled to .mpy; names that `mentions` (sources
    in Python) have stay as they are.
    """
    return {f"{LIBRARY}/{name}": data for name, data in compact.library(mentions).items()}


def starters() -> dict[str, bytes]:
    """Path on the board → content, for main.py (and boot.py where there is one), as source."""
    folder = resources.folder("device")
    return {f"/{name}": (folder / name).read_bytes() for name in STARTERS if (folder / name).is_file()}
