"""The files that a deployed board has: fwnode as .mpy, and the two that MicroPython starts."""

from __future__ import annotations

from fwchain import resources
from fwchain.board.image import collect, compile_files

LIBRARY = "/lib/fwnode"
OPTIMISE = 3  # mpy-cross -O: no asserts, no line numbers: 6 % smaller

# What CPython alone uses of fwnode; a board never imports it.
HOST_ONLY = ("crypto/host.py", "crypto/hostaes.py")
STARTERS = ("boot.py", "main.py")


def library() -> dict[str, bytes]:
    """Path on the board → content, for fwnode compiled to .mpy."""
    sources = {name: data for name, data in collect(resources.fwnode_folder()).items() if name not in HOST_ONLY}
    return {f"{LIBRARY}/{name}": data for name, data in compile_files(sources, OPTIMISE).items()}


def starters() -> dict[str, bytes]:
    """Path on the board → content, for main.py (and boot.py where there is one), as source."""
    folder = resources.folder("device")
    return {f"/{name}": (folder / name).read_bytes() for name in STARTERS if (folder / name).is_file()}
