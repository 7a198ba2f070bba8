"""The release that a normal node on the host holds, where a board has the firmware that it runs.

Nothing of it is started here, so there is no trial and no way back: holding begins when the bytes are what was signed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from fwnode.crypto import sha256
from fwnode.update import StorageError
from fwnode.update.boot import PENDING_M, RUNNING_M, Boot
from fwnode.update.files import FileStore, make_folders
from fwnode.update.keys import KeyStore
from fwnode.update.storage import Storage
from fwnode.update.stream import Stream, folder_of
from fwnode.update.trial import raise_floor, read_release, record_of, release_of, update_only

ROOT = "root"
EMPTY = sha256(b"")  # the verifier of nothing


class Files(FileStore):
    """The node's small files; `on_root(data)` hears of a newer trust root that a check took."""

    def __init__(self, folder: Path, on_root: Callable[[bytes], None] = lambda data: None) -> None:
        super().__init__(str(folder))
        self.on_root = on_root

    def write(self, name: str, data: bytes) -> None:
        """Replace the content."""
        super().write(name, data)
        if name == ROOT:
            self.on_root(data)


class FileSlot:
    """A release's application image in a file: what a board has a slot for."""

    def __init__(self, path: str) -> None:
        self.path = path

    def readinto(self, offset: int, buf: memoryview) -> None:
        """Fill `buf`; what was never written reads as zeros. Raises StorageError."""
        got = 0
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                got = file.readinto(buf)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(f"{self.path}: {error}") from error
        buf[got:] = bytes(len(buf) - got)

    def write(self, offset: int, buf: memoryview) -> None:
        """Write at `offset`; raises StorageError."""
        make_folders(self.path)
        try:
            with open(self.path, "r+b" if Path(self.path).exists() else "w+b") as file:
                file.seek(offset)
                file.write(buf)
        except OSError as error:
            raise StorageError(f"{self.path}: {error}") from error


class Nothing:
    """The stream of a node that holds nothing yet."""

    size = 0

    def readinto(self, offset: int, buf: memoryview) -> None:
        """There is nothing to read."""
        raise StorageError("this node holds no release yet")


class Held(Boot):
    """What `fwnode.update.boot.Boot` is to a board's node; `root` is the folder of the releases' bytes."""

    def __init__(self, root: Path, keys: KeyStore, files: FileStore) -> None:
        self.keys = keys
        self.files = files
        self.root = str(root)
        self.place = "nowhere"
        self.verifier = EMPTY
        self.record: Any = None
        self.release: Any = None
        self.stream: Any = Nothing()
        self.genuine = False
        self.trial = False
        self.update_only = False
        self.outcome: Any = None

    def check(self) -> Generator[None, None, None]:
        """Steps: find out what is held."""
        self.record = self.keys.record("run")
        release = release_of(self, self.record) if self.record else None
        if release is not None:
            raise_floor(self.keys, self.record)
            self._take(self.record, release)
            yield from self.verify()
        self.update_only = update_only(self)

    def hold(self, release: Any) -> Generator[None, None, None]:
        """Steps: hold `release`, whose bytes are in their place and whose M is in `pending.m`; forget the one before.

        The record decides, and M is found under either name: whatever ends the process, the old or the new one is held.
        """
        place = folder_of(release.verifier, self.root)
        record = record_of(Path(place).name.encode(), release)
        self.keys.put_record("run", record)
        self.files.rename(PENDING_M, RUNNING_M)
        raise_floor(self.keys, record)
        self._take(record, read_release(self, RUNNING_M))
        self.update_only = False
        yield from self.verify()
        for path in Path(self.root).iterdir():
            if str(path) != place:
                shutil.rmtree(path, ignore_errors=True)

    def _take(self, record: dict[str, Any], release: Any) -> None:
        self.record = record
        self.release = release
        self.place = Path(folder_of(release.verifier, self.root)).name
        self.stream = Stream(release, self.slot(release), self.root)

    def slot(self, release: Any) -> FileSlot:
        """Where the application image of a release lies."""
        return FileSlot(folder_of(release.verifier, self.root) + "/slot")

    def storage(self, release: Any, chip: int | None = None) -> Storage:
        """Where a download puts a release."""
        return Storage(release, self.slot(release), self.root, chip)

    def confirm(self) -> None:
        """There is no trial here."""

    def fail(self, reason: str) -> None:
        """There is no trial here."""

    def told(self) -> None:
        """The outcome is logged: forget it."""
        self.outcome = None
