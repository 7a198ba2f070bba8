"""A release's byte stream laid over the slot and the path files, as pieces and verifier are cut from it.

The slot image comes first; path files follow in order, in the folder `<root>/<first 16 hex of the verifier>/`.
Nothing is remembered in RAM about what was written: a later run hashes what is there.
"""

from fwnode.update import StorageError

ROOT = "/r"
SLOT = "slot"


def folder_of(verifier: bytes, root: str = ROOT) -> str:
    """The folder of a release's path files."""
    return root + "/" + verifier[:8].hex()


class Stream:
    """The stream to read: `size` bytes through readinto. `slot` is a SlotView (None for path files alone)."""

    def __init__(self, release, slot, root: str = ROOT) -> None:  # type: ignore[no-untyped-def]
        self.size = release.size
        self.folder = folder_of(release.verifier, root)
        self._slot = slot
        self._parts = []  # (start in the stream, length, path or None for the slot)
        start = 0
        for _, target, length in release.files:
            self._parts.append((start, length, None if target == SLOT else self.folder + "/" + target))
            start += length

    def readinto(self, offset: int, buf) -> None:  # type: ignore[no-untyped-def]
        """Fill `buf`; path files' bytes that were never written read as zeros. Raises StorageError."""
        for path, at, part in self._cut(offset, buf):
            if path is None:
                self._slot.readinto(at, part)
            else:
                _read(path, at, part)

    def _cut(self, offset: int, buf):  # type: ignore[no-untyped-def]
        """(path, offset in it, part of `buf`) of each file that `buf` overlaps."""
        if offset < 0 or offset + len(buf) > self.size:
            raise StorageError("storage: {} bytes at {}, size {}".format(len(buf), offset, self.size))
        _, length, path = self._parts[0]
        if offset + len(buf) <= length:  # as nearly always: no generator for each sector
            return ((path, offset, buf),)
        return self._across(offset, memoryview(buf))

    def _across(self, offset: int, view):  # type: ignore[no-untyped-def]
        for start, length, path in self._parts:
            first = max(offset, start)
            last = min(offset + len(view), start + length)
            if first < last:
                yield path, first - start, view[first - offset : last - offset]


def _read(path: str, at: int, buf) -> None:  # type: ignore[no-untyped-def]
    got = 0
    try:
        with open(path, "rb") as file:
            file.seek(at)
            got = file.readinto(buf)
    except OSError as error:
        if error.args[0] != 2:
            raise StorageError("{}: {}".format(path, error))
    for index in range(got, len(buf)):
        buf[index] = 0
