"""The header chain's flash: one file, written in place.

What is written since the last sync becomes durable in order, or (littlefs) all at once; a sync a batch spares flash.
Its name begins as fwnode.headers does, with which it is let go.
"""

import os

from fwnode.chain.headers import FILE_SIZE


class RingFile:
    """A file of fixed size with readinto(offset, buffer), write(offset, data) and sync()."""

    def __init__(self, path: str, size: int = FILE_SIZE) -> None:
        """Open the file; make it, or bring it to its size, when it is not there or short; raises OSError."""
        try:
            have = os.stat(path)[6]
        except OSError:
            have = 0
        if have < size:
            with open(path, "ab") as file:
                blank = bytes(256)
                while have < size:
                    have += file.write(blank[: min(256, size - have)])
        self._file = open(path, "r+b")

    def readinto(self, offset: int, buffer) -> None:  # type: ignore[no-untyped-def]
        """Fill the buffer from `offset`."""
        self._file.seek(offset)
        self._file.readinto(buffer)

    def write(self, offset: int, data: bytes) -> None:
        """Write the data at `offset`."""
        self._file.seek(offset)
        self._file.write(data)

    def sync(self) -> None:
        """Make what was written durable."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
