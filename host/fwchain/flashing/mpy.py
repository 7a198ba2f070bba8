"""The files that a deployed board has: fwnode as .mpy, and the two that MicroPython starts."""

from __future__ import annotations

from pathlib import Path

import fwnode
from fwchain.board.image import collect, compile_files
from fwchain.flashing.errors import FlashingError

LIBRARY = "/lib/fwnode"
OPTIMISE = 3  # mpy-cross -O: no asserts, no line numbers: 6 % smaller

# What CPython alone uses of fwnode; a board never imports it.
HOST_ONLY = ("crypto/host.py", "crypto/hostaes.py")
STARTERS = ("boot.py", "main.py")


def package_folder() -> Path:
    """The folder of fwnode's sources."""
    return Path(str(fwnode.__file__)).resolve().parent


def device_folder() -> Path:
    """The folder that holds main.py: in a clone, device/; in an installed package, its own copy."""
    package = package_folder()
    for place in (package.parent, package.parent / "fwchain" / "_data" / "device"):
        if (place / "main.py").is_file():
            return place
    raise FlashingError("device/main.py is not in this installation: reinstall fwchain")


def library() -> dict[str, bytes]:
    """Path on the board → content, for fwnode compiled to .mpy."""
    package = package_folder()
    sources = {name: data for name, data in collect(package).items() if name not in HOST_ONLY}
    return {f"{LIBRARY}/{name}": data for name, data in compile_files(sources, OPTIMISE).items()}


def starters() -> dict[str, bytes]:
    """Path on the board → content, for main.py (and boot.py where there is one), as source."""
    folder = device_folder()
    return {f"/{name}": (folder / name).read_bytes() for name in STARTERS if (folder / name).is_file()}
