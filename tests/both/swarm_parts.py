"""What the swarm's tests share: a release made on the spot, a storage in a file, and a node's port."""

import hashlib
import sys

from fwnode.net.tcp import address, close
from fwnode.swarm import SECTOR
from fwnode.swarm.router import Router


def content(size, seed=1):
    """`size` bytes that depend on `seed`, incompressible."""
    parts = []
    made = 0
    block = b"fwchain" + bytes([seed & 255, seed >> 8 & 255])
    while made < size:
        block = hashlib.sha256(block).digest()
        parts.append(block)
        made += len(block)
    return b"".join(parts)[:size]


class FakeRelease:
    """The part of fwnode.trust.release.Release that the swarm reads."""

    trackers = ()
    web_seeds = ()
    private = False
    version = "1.0.0"
    model = "test"

    def __init__(self, size, piece_length, pieces, info_hash, name="image.bin"):
        self.size = size
        self.piece_length = piece_length
        self.pieces = pieces
        self.info_hash = info_hash
        self.piece_count = len(pieces) // 20
        self.name = name
        self.files = [(name, "slot", size)]

    def piece_hash(self, index):
        return self.pieces[20 * index : 20 * index + 20]

    def piece_size(self, index):
        return min(self.piece_length, self.size - index * self.piece_length)


def release_of(data, piece_length=32768, name="image.bin"):
    """A release of one file holding `data`."""
    pieces = b"".join([hashlib.sha1(data[at : at + piece_length]).digest() for at in range(0, len(data), piece_length)])
    info = b"d6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:%se" % (
        len(data),
        len(name),
        name.encode(),
        piece_length,
        len(pieces),
        pieces,
    )
    return FakeRelease(len(data), piece_length, pieces, hashlib.sha1(info).digest(), name), info


class FileStorage:
    """A storage over an open file; it refuses what flash refuses and counts writes by sector."""

    def __init__(self, path, size, fresh=True):
        if fresh:
            with open(path, "wb") as file:
                left = size + -size % SECTOR
                blank = b"\xff" * SECTOR
                while left > 0:
                    file.write(blank)
                    left -= SECTOR
        self.file = open(path, "r+b", 0) if sys.implementation.name != "micropython" else open(path, "r+b")
        self.size = size
        self.writes = bytearray((size + SECTOR - 1) // SECTOR)

    def write(self, offset, data):
        if offset % SECTOR or (len(data) % SECTOR and offset + len(data) != self.size):
            raise ValueError("write of {} bytes at {}".format(len(data), offset))
        for sector in range(offset // SECTOR, (offset + len(data) + SECTOR - 1) // SECTOR):
            self.writes[sector] += 1
        self.file.seek(offset)
        self.file.write(data)

    def readinto(self, offset, buffer):
        self.file.seek(offset)
        if self.file.readinto(buffer) != len(buffer):
            raise ValueError("read past the end")


class MemoryStorage:
    """A read-only storage over bytes."""

    def __init__(self, data):
        self.data = memoryview(data)
        self.size = len(data)

    def readinto(self, offset, buffer):
        buffer[:] = self.data[offset : offset + len(buffer)]


class Port:
    """A node's port with the peer wire alone, for `asyncio.start_server`."""

    def __init__(self):
        self.router = Router()

    async def accept(self, reader, writer):
        first = await reader.read(1)
        try:
            if first == b"\x13":
                await self.router.on_peer(reader, writer, address(writer.get_extra_info("peername"))[0])
        finally:
            await close(writer)
