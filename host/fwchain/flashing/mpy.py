"""The files that a deployed board has: fwnode in a pack of .mpy files, and the two that MicroPython starts."""

from __future__ import annotations

from collections.abc import Iterable

from fwchain import resources
from fwchain.board import compact
from fwchain.flashing import pack

LIBRARY = "/lib/fwnode"
STARTERS = ("boot.py", "main.py")

# what only a function takes that most applications do not call: left out where none of them names it
OPTIONAL = {b"use_machine_code": ("crypto/native.mpy", "crypto/nativegcm.mpy")}


def modules(mentions: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Path below fwnode → .mpy file, of what a board needs of it, fwnode.unpack in place of __init__; names that
    `mentions` (sources in Python) have stay as they are.
    """
    mentions = list(mentions)
    named = {word for source in mentions for word in compact.WORD.findall(source)}
    left_out = {path for word, paths in OPTIONAL.items() if word not in named for path in paths} | {"__init__.mpy"}
    return {path: data for path, data in compact.library(mentions).items() if path not in left_out}


def library(mentions: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Path on the board → content: the pack of those modules, and what mounts it as fwnode."""
    packed = modules(mentions)
    init = packed.pop(compact.UNPACKED)
    return {f"{LIBRARY}/{name}": data for name, data in {"__init__.mpy": init, **pack.packed(packed)}.items()}


def starters() -> dict[str, bytes]:
    """Path on the board → content, for main.py (and boot.py where there is one), as source."""
    folder = resources.folder("device")
    return {f"/{name}": (folder / name).read_bytes() for name in STARTERS if (folder / name).is_file()}
