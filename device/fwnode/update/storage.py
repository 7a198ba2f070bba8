"""Where a download puts a release: its byte stream, to be written; loaded on demand."""

import os

from fwnode.update import StorageError
from fwnode.update.files import make_folders
from fwnode.update.slots import SECTOR
from fwnode.update.stream import ROOT, Stream


class Storage(Stream):
    """The stream of a release being installed; `slot` is the target slot."""

    SECTOR = SECTOR

    def __init__(self, release, slot, root: str = ROOT, chip=None) -> None:  # type: ignore[no-untyped-def]
        super().__init__(release, slot, root)
        self._chip = chip
        self.plan = None  # for a download to call with what it keeps, where erasing looks ahead

    def widen(self, buffer) -> None:  # type: ignore[no-untyped-def]
        """Erase the slot by 64 KiB from now on, with `wide.ones()`."""
        from fwnode.update.wide import WideSlot

        if self._slot is not None:
            self._slot = WideSlot(self._slot, buffer)
            self.plan = self._slot.plan

    def check_first(self, sector) -> None:  # type: ignore[no-untyped-def]
        """Raise ImageError unless the stream's first 4 KiB open an application image for this board.

        For a download to ask before it writes: the piece is not proven by then, so it hashes the piece to its
        end, and blames the release when the piece is right, else the peer.
        """
        if self._parts[0][2] is None:
            from fwnode.update import image

            image.check_first(sector, self._chip)

    def write(self, offset: int, buf) -> None:  # type: ignore[no-untyped-def]
        """Erase and program: `offset` a multiple of 4,096, `buf` whole sectors or reaching the end.

        Raises StorageError; and ImageError, with nothing erased, for a first sector that `check_first` refuses.
        """
        if offset % SECTOR or (len(buf) % SECTOR and offset + len(buf) != self.size):
            raise StorageError("storage: {} bytes at {} are not whole sectors".format(len(buf), offset))
        for path, at, part in self._cut(offset, buf):
            if path is not None:
                _write(path, at, part)
            else:
                if at == 0:
                    self.check_first(part)
                self._slot.write(at, part)


def _write(path: str, at: int, buf) -> None:  # type: ignore[no-untyped-def]
    make_folders(path)
    try:
        os.stat(path)
        mode = "r+b"
    except OSError:
        mode = "w+b"
    try:
        with open(path, mode) as file:
            file.seek(at)
            file.write(buf)
    except OSError as error:
        raise StorageError("{}: {}".format(path, error))
