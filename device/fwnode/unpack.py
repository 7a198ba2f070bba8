"""fwnode's `__init__` on a board to which it was deployed: all other modules come out of a dozen `.pack` files.

A folder of 130 .mpy files takes half a megabyte of littlefs, a block each, and has most names many times over. The pack
(fwchain.flashing.pack makes it, and describes it) has each name once and the rest deflated, some modules to a file. It
is mounted as a file system that gives back the .mpy files.
"""

import io
from binascii import crc32

import vfs  # type: ignore[import-not-found]
from deflate import RAW, DeflateIO  # type: ignore[import-not-found]
from micropython import const

FOLDER = (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
FILE = (0x8000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
PLACE = "/fw"  # short: MicroPython keeps the path of each module that it has ever loaded
_HEADER = const(8)
_ENTRY = const(8)  # of the index
_GROUP = const(16)  # names to an offset
_TWO = const(224)  # from here on, a name's number has a second byte
_WINDOW = const(12)  # bits
_MODULE = const(12)  # bytes before the numbers of a module's names


class Pack:
    """The file system of the pack in `folder`, as far as imports need one. Raises OSError."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        path = folder + "/index.pack"
        with open(path, "rb") as index:
            head = index.read(_HEADER)
            if head[:4] != b"fwp1":
                raise OSError("{}: no pack of this fwnode: deploy it again".format(path))
            self.folders = " " + index.read(head[6]).decode()
        self.size = _ENTRY * (head[4] | head[5] << 8)  # of the modules' entries
        self.names = _HEADER + head[6] + self.size

    def mount(self, readonly: bool, mkfs: bool) -> None:
        """As a file system has it."""

    def umount(self) -> None:
        """As a file system has it."""

    def statvfs(self, path: str) -> tuple:
        """It has no size of its own: its files lie in another file system."""
        return (0,) * 10

    def ilistdir(self, path: str):  # type: ignore[no-untyped-def]
        """The pack does not know what its files are called."""
        return iter(())

    def stat(self, path: str) -> tuple:
        """A folder, or what may be a file: `open` knows."""
        if path.endswith(".mpy"):
            return FILE
        if path == "/" or " " + path + " " in self.folders:
            return FOLDER
        raise OSError(2)

    def open(self, path: str, mode: str):  # type: ignore[no-untyped-def]
        """The .mpy file as a stream; raises ImportError where there is none."""
        with open(self.folder + "/index.pack", "rb") as index:
            block, skip = self._find(index, path)
            with open("{}/{}.pack".format(self.folder, block), "rb") as file:
                return self._read(index, DeflateIO(file, RAW, _WINDOW), skip)

    def _find(self, index, path: str) -> tuple:  # type: ignore[no-untyped-def]
        """(the block that has this file, how many bytes of it come before)."""
        index.seek(self.names - self.size)
        entries = index.read(self.size)
        crc = crc32(path).to_bytes(4, "little")
        at = entries.find(crc)
        while at > 0 and at % _ENTRY:
            at = entries.find(crc, at + 1)
        if at < 0:
            raise ImportError("no module " + path)
        return entries[at + 4] | entries[at + 5] << 8, entries[at + 6] | entries[at + 7] << 8

    def _read(self, index, block, skip: int):  # type: ignore[no-untyped-def]
        """The file that begins after `skip` bytes of the block, its names put in."""
        buf = bytearray(256)
        while skip:
            skip -= _some(block.readinto(buf, min(skip, 256)))
        head = block.read(_MODULE)
        size = head[0] | head[1] << 8
        out = io.BytesIO(size)
        size -= out.write(head[4:])
        numbers = iter(block.read(head[2] | head[3] << 8))
        for number in numbers:
            if number >= _TWO:
                number = _TWO + (number - _TWO << 8 | next(numbers))
            size -= out.write(self._name(index, number, buf))
        while size:
            count = _some(block.readinto(buf, max(0, min(size, 256))))
            size -= out.write(memoryview(buf)[:count])
        out.seek(0)
        return out

    def _name(self, index, number: int, buf: bytearray) -> bytes:  # type: ignore[no-untyped-def]
        """What stands in a .mpy file for the name of this number."""
        index.seek(self.names + number // _GROUP * 2)
        index.readinto(buf, 2)
        index.seek(buf[0] | buf[1] << 8)
        index.readinto(buf)
        at = 0
        for _ in range(number % _GROUP):
            at += (buf[at] & 127) + 1
        name = bytes(buf[at + 1 : at + 1 + (buf[at] & 127)])
        if buf[at] > 127:
            return name  # one that MicroPython has by itself, encoded already
        if name[0] < 32:
            name = self._name(index, name[0], buf)[1:-1] + b"." + name[1:]
        return bytes((len(name) * 2,)) + name + b"\0"


def _some(count: int) -> int:
    """The count; raises OSError where nothing is left: this block belongs to another index."""
    if not count:
        raise OSError(5)
    return count


try:
    vfs.mount(Pack(globals()["__path__"]), PLACE)
except OSError as error:
    if error.args[0] != 1:  # EPERM: it is there already
        raise
__path__ = PLACE

from fwnode.main import run  # noqa: E402,F401 - it comes out of the pack
