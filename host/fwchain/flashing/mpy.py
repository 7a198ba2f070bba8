"""The files that a deployed board has: fwnode as .mpy, and the two that MicroPython starts."""

from __future__ import annotations

from fwchain import resources
from fwchain.board import compact

LIBRARY = "/lib/fwnode"

STARTERS = ("boot.py", "main.py")


def library() -> dict[str, bytes]:
    """Path on the board → content, for what a board needs of fwnode, compiled to .mpy."""
    return {f"{LIBRARY}/{name}": data for name, data in compact.library().items()}


def starters() -> dict[str, bytes]:
    """Path on the board → content, for main.py (and boot.py where there is one), as source."""
    folder = resources.folder("device")
    return {f"/{name}": (folder / name).read_bytes() for name in STARTERS if (folder / name).is_file()}
