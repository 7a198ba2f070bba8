"""One process at a time powers a board: a lock on a file in its folder, which holds that process's ID."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fwchain.errors import SetupError

NAME = "lock"


class Lock:
    """Held from its making to `release`; raises SetupError when another process has it."""

    def __init__(self, folder: Path, board: str) -> None:
        self._file = open(folder / NAME, "w")  # noqa: SIM115 held while powered
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise SetupError(f"{board} is running already, in another process") from None
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Closing alone would leave it taken while another thread starts a process, which has a copy for a moment."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


def is_taken(folder: Path) -> bool:
    """Whether some process has the board powered."""
    try:
        with open(folder / NAME, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
