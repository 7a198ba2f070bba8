"""A header chain in a flash that can lose its power: what the tests of headers share."""

from chain_parts import TIME
from fwnode import crypto
from fwnode.chain import header
from fwnode.chain.head import Link
from fwnode.chain.headers import FILE_SIZE
from fwnode.chain.pow import mine
from support import run


class PowerCut(Exception):
    """The power went away."""


class Flash:
    """A file in RAM whose power can be cut after so many bytes written."""

    def __init__(self, data=None):
        self.data = bytearray(data or bytes(FILE_SIZE))
        self.written = 0
        self.cut_at = None

    def readinto(self, offset, buffer):
        buffer[:] = self.data[offset : offset + len(buffer)]

    def write(self, offset, data):
        for byte in data:
            if self.written == self.cut_at:
                raise PowerCut
            self.data[offset] = byte
            offset += 1
            self.written += 1

    def sync(self):
        self.syncs = getattr(self, "syncs", 0) + 1


class Pinned:
    """What HeaderChain needs of a genesis, with little work."""

    difficulty = 2

    def __init__(self, name=b"a"):
        self.hash = crypto.sha256(name)
        self.net = self.hash[:8]

    def link(self):
        return Link(0, self.hash, 0, 1, [TIME])


def branch(previous, count, salt=0, time=TIME + 10, difficulty=2):
    """Headers one on the other, the first on `previous`."""
    heads = []
    for n in range(count):
        root = crypto.sha256(b"%d %d" % (salt, n))
        data = run(mine(header.Header(100, previous, root, time + n, difficulty).encode(), difficulty))
        heads.append(data)
        previous = header.hash_of(data)
    return heads


def counters(heads):
    return list(range(1, len(heads) + 1))
