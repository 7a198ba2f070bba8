"""Which virtual boards run on this machine, and the names of their ports: one small file each, of
the user's own.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A running virtual board. `folder` is empty for one without."""

    name: str
    folder: str
    pid: int
    pty: str
    rfc2217: str
    socket: str


def place() -> Path:
    """The folder of the entries; FWCHAIN_RUN moves it."""
    moved = os.environ.get("FWCHAIN_RUN")
    if moved:
        return Path(moved)
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"fwchain-{os.getuid()}"


def add(name: str, folder: str, urls: tuple[str, str, str]) -> Path:
    """Enter a board of this process; returns the file to take away with `remove`."""
    entry = Entry(name, folder, os.getpid(), *urls)
    place().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place() / f"{entry.pid}-{urls[1].rpartition(':')[2]}.json"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(entry)))
    temporary.replace(path)
    return path


def remove(path: Path) -> None:
    """Take an entry away."""
    path.unlink(missing_ok=True)


def running() -> list[Entry]:
    """Boards whose process lives; entries of others are taken away."""
    found: list[Entry] = []
    folder = place()
    if not folder.is_dir() or folder.stat().st_uid != os.getuid():
        return found
    for path in sorted(folder.glob("*.json")):
        try:
            entry = Entry(**json.loads(path.read_text()))
            os.kill(entry.pid, 0)
        except (ProcessLookupError, ValueError, TypeError, FileNotFoundError):
            remove(path)
            continue
        except PermissionError:
            continue
        found.append(entry)
    return found


class Announcement:
    """A board's port made known: a link beside its flash, and its entry here. Without a name no entry is made."""

    def __init__(self, name: str, link: Path | None, urls: tuple[str, str, str]) -> None:
        self._link = link
        self._entry: Path | None = None
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(urls[0])
        if name:
            self._entry = add(name, str(link.parent.resolve()) if link is not None else "", urls)

    def withdraw(self) -> None:
        """Take both away."""
        if self._entry is not None:
            remove(self._entry)
        if self._link is not None and self._link.is_symlink():
            self._link.unlink()
