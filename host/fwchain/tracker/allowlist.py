"""The file that tells `fwchain tracker` which info-hashes it serves: 40 hex digits a line, `#` begins a comment."""

from __future__ import annotations

from pathlib import Path

from fwchain.errors import SetupError
from fwchain.tracker.tracker import Tracker


def parse(text: str, name: str = "allow-list") -> set[bytes]:
    """The info-hashes of an allow-list; raises SetupError naming the line."""
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            info_hash = bytes.fromhex(word)
        except ValueError:
            info_hash = b""
        if len(info_hash) != 20:
            raise SetupError(f"{name}, line {number}: an info-hash of 40 hex digits expected, got {word[:60]!r}")
        found.add(info_hash)
    return found


class AllowList:
    """Keeps a tracker in step with its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served: set[bytes] = set()
        self._stamp = (0, 0)

    def refresh(self, tracker: Tracker) -> bool:
        """Apply the file whole if it changed; returns whether it did. Raises SetupError and changes nothing then."""
        try:
            stat = self.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return False
            wanted = parse(self.path.read_text("utf-8", "replace"), str(self.path))
        except OSError as error:
            raise SetupError(f"{self.path}: {error.strerror}") from error
        self._stamp = stamp
        for info_hash in self.served - wanted:
            tracker.forbid(info_hash)
        for info_hash in wanted - self.served:
            tracker.allow(info_hash)
        self.served = wanted
        return True
