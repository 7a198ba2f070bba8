"""What a virtual board's process needs from the one that starts it: its modules, its path, its end."""

from __future__ import annotations

import os
import platform
import signal
from functools import lru_cache
from pathlib import Path

from fwchain.board.image import build_romfs, collect, compile_files, compile_py


@lru_cache(maxsize=1)
def runtime_romfs() -> bytes:
    """The board's own modules (esp32, machine, network), compiled, as a ROMFS."""
    folder = Path(__file__).parent / "runtime"
    files = {path: data for path, data in collect(folder).items() if path != "__init__.py"}
    fast = files.pop("vb/fast.py")
    built = compile_files(files, 3)
    if platform.machine() in ("x86_64", "AMD64"):
        built["vb/fast.mpy"] = compile_py(fast, "vb/fast.py", 3, "x64")
    return build_romfs(built)


def kill(pid: int) -> None:
    """End a process at once, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def python_path() -> str:
    """So that the child finds this very package, installed or not."""
    import fwnode

    places = [str(Path(__file__).parents[2]), str(Path(fwnode.__file__).parents[1])]
    return os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
