"""Pieces on their way into storage: chosen, streamed in any order, judged, begun anew. None is held in memory."""

import hashlib

from fwnode.swarm import BLOCK, bitfield
from fwnode.swarm.pieces import Active, Pieces
from support import raises, run
from swarm_parts import FakeRelease

SECTOR = 4096
PIECE = 32768


def sector(number, wrong=0):
    """Sector `number` of the release: one value over and over, so that a byte stands for it."""
    return bytes([number ^ wrong]) * SECTOR


class Storage:
    """Keeps one byte for each sector."""

    def __init__(self, size):
        self.size = size
        self.sectors = bytearray((size + SECTOR - 1) // SECTOR)
        self.written = []

    def write(self, offset, data):
        self.sectors[offset // SECTOR] = data[0]
        self.written.append(offset)

    def readinto(self, offset, buffer):
        value = self.sectors[offset // SECTOR]
        for at in range(len(buffer)):
            buffer[at] = value


class Source:
    """A peer as Pieces sees it: here one that has every piece, or those given."""

    def __init__(self, bits=None):
        self.bits = bits or bitfield.full(4)


def release_of(size):
    hashes = []
    for start in range(0, size, PIECE):
        piece = hashlib.sha1()
        for at in range(start, min(start + PIECE, size), SECTOR):
            piece.update(sector(at // SECTOR)[: size - at])
        hashes.append(piece.digest())
    return FakeRelease(size, PIECE, b"".join(hashes), bytes(20))


def made(size=3 * PIECE + 100, check=None):
    release = release_of(size)
    storage = Storage(size)
    storage.sectors[:] = b"\xee" * len(storage.sectors)
    pieces = Pieces(release, storage, bytearray(1), check, memoryview(bytearray(SECTOR)))
    run(pieces.resume())
    return storage, pieces


def bring(pieces, active, ip, order=None, wrong=0):
    """Bring a piece's sectors in the order given; returns whether it was genuine."""
    base = active.index * PIECE
    for at in order or range(0, active.size, SECTOR):
        data = sector((base + at) // SECTOR, wrong)[: active.size - at]
        pieces.sector(ip, active, at, memoryview(data))
    return pieces.finish(active)


def test_in_and_out_of_order():
    storage, pieces = made()
    everything = Source()
    assert bring(pieces, pieces.pick(everything), "a")
    second = pieces.begin(next(index for index in pieces.todo if index < 3), everything)
    assert bring(pieces, second, "a", list(range(BLOCK, PIECE, SECTOR)) + list(range(0, BLOCK, SECTOR)))
    for _ in range(2):
        assert bring(pieces, pieces.pick(everything), "a")
    assert pieces.pick(everything) is None and bitfield.count(pieces.have) == 4
    assert storage.sectors == bytes(range(25)) and len(storage.written) == 25


def test_rarest_first():
    _, pieces = made()
    for index, count in enumerate((3, 2, 1, 3)):
        pieces.avail[index] = count
    assert [pieces.pick(Source()).index for _ in range(2)] == [2, 1]
    assert pieces.pick(Source(b"\x10")).index == 3


def test_random_start():
    first = set()
    for _ in range(40):
        _, pieces = made(2 * PIECE)
        first.add(pieces.pick(Source()).index)
    assert first == {0, 1}


def test_bad_piece_is_missing_again():
    _, pieces = made()
    active = pieces.pick(Source())
    assert not bring(pieces, active, "liar", wrong=64)
    assert active.source == "liar" and active.index in pieces.todo and not pieces.careful(active.index)
    assert not pieces.sector("liar", active, 0, sector(0)), "a finished piece takes nothing more"


def test_piece_of_two_sources_is_then_taken_from_one():
    _, pieces = made(2 * PIECE)
    one, other = Source(), Source()
    active = pieces.pick(one)
    base = active.index * 8
    pieces.sector("a", active, 0, sector(base))
    pieces.leave(one)
    assert pieces.pick(other) is active, "what is written of a piece stays when its owner goes"
    assert not pieces.sector("b", active, 0, sector(base)), "a sector is written once"
    for at in range(1, 8):
        pieces.sector("b", active, at * SECTOR, sector(base + at, 64))
    assert not pieces.finish(active) and pieces.careful(active.index)
    again = pieces.begin(active.index, other)
    pieces.sector("b", again, 0, sector(base))
    pieces.leave(other)
    assert again.dead and active.index in pieces.todo, "a careful piece starts over with its next owner"


def test_first_sector_is_judged_with_its_piece():
    class Refused(Exception):
        pass

    seen = []

    def check(data):
        seen.append(len(data))
        raise Refused()

    storage, pieces = made(2 * PIECE, check)
    first = pieces.pick(Source())
    assert first.index == 0 and pieces.pick(Source()) is None, "the first piece comes alone"
    assert not bring(pieces, first, "liar", wrong=64)
    raises(Refused, bring, pieces, pieces.pick(Source()), "honest")
    assert storage.written == [] and seen == [SECTOR, SECTOR]


def test_first_sector_that_is_already_there_is_judged_too():
    def check(data):
        raise ValueError("no")

    storage = Storage(2 * PIECE)
    storage.sectors[:] = bytes(range(16))
    pieces = Pieces(release_of(2 * PIECE), storage, bytearray(1), check, memoryview(bytearray(SECTOR)))
    raises(ValueError, pieces.resume)


def test_resume_hashes_what_is_there():
    storage, _ = made()
    storage.sectors[:] = bytes(range(25))
    storage.sectors[9] ^= 1
    again = Pieces(release_of(storage.size), storage, bytearray(1), None, memoryview(bytearray(SECTOR)))
    run(again.resume())
    assert again.todo == [1] and bitfield.count(again.have) == 3


def test_storage_is_told_what_is_kept():
    storage, _ = made()
    storage.sectors[:] = bytes(range(25))
    storage.sectors[9] ^= 1
    seen = []
    storage.plan = seen.append
    run(Pieces(release_of(storage.size), storage, bytearray(1), None, memoryview(bytearray(SECTOR))).resume())
    (holds,) = seen
    assert holds(0, 65536) and holds(65536, 131072), "pieces 0, 2 and 3"
    assert not holds(PIECE, 2 * PIECE) and holds(PIECE, 2 * PIECE + 1) and holds(PIECE - 1, PIECE)
    assert not holds(4 * PIECE, 6 * PIECE), "behind the end"


def test_blocks_of_a_piece():
    active = Active(0, 0, 20000, None)
    assert len(active.done) == 2
    active.done[1] = 1
    assert active.block_done(BLOCK) and not active.block_done(0)
