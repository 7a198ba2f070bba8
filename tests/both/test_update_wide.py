"""Erasing by 64 KiB: a free block once and whole, what is kept never, and a second write of a sector as ever."""

from fwnode.update import StorageError
from fwnode.update.storage import Storage
from fwnode.update.target import TargetSlot
from fwnode.update.wide import BLOCK, WideSlot, ones
from support import raises

SECTOR = 4096
SIZE = 3 * BLOCK + 2 * SECTOR  # the last block is no whole one
ONES = ones(0)


class Part:
    """A partition that keeps one byte for each sector and what was done to it; the rules of NOR flash hold."""

    def __init__(self):
        self.cells = bytearray(SIZE // SECTOR)  # something old
        self.erased = [0] * len(self.cells)
        self.calls = []  # bytes erased by each call

    def info(self):
        return (0, 0x11, 0x10000, SIZE, "ota_1", False)

    def writeblocks(self, block, buf, offset=None):
        sectors = (len(buf) + SECTOR - 1) // SECTOR
        if offset is None:
            if len(buf) % SECTOR:
                raise OSError(-0x104)
            self.calls.append(len(buf))
            self._erase(block, sectors)
        for number in range(sectors):
            self.cells[block + number] &= buf[number * SECTOR]

    def readblocks(self, block, buf, offset):
        buf[:] = bytes((self.cells[block],)) * len(buf)

    def ioctl(self, command, sector):
        self.calls.append(SECTOR)
        self._erase(sector, 1)

    def _erase(self, first, sectors):
        for sector in range(first, first + sectors):
            self.cells[sector] = 0xFF
            self.erased[sector] += 1


def made():
    part = Part()
    return part, WideSlot(TargetSlot(part), ONES)


def sector(value):
    return memoryview(bytes((value,)) * SECTOR)


def test_the_buffer():
    assert len(ONES) == BLOCK and ONES[0] == ONES[BLOCK - 1] == 0xFF and ONES[30000] == 0xFF
    assert ones(1 << 40) is None or not hasattr(__import__("gc"), "mem_free"), "no memory to spare: no buffer"


def test_free_blocks_are_erased_once_and_whole():
    part, slot = made()
    slot.plan(lambda first, end: False)
    order = list(range(len(part.cells)))[::-1]
    for number in order:
        slot.write(number * SECTOR, sector(number + 1))
    assert list(part.cells) == [number + 1 for number in range(len(part.cells))]
    assert part.erased == [1] * len(part.cells)
    assert sorted(part.calls) == [SECTOR, SECTOR, BLOCK, BLOCK, BLOCK]


def test_what_is_kept_is_not_erased():
    part, slot = made()
    part.cells[20] = 77  # block 1
    slot.plan(lambda first, end: first <= 20 * SECTOR < end)
    for number in range(len(part.cells)):
        if number != 20:
            slot.write(number * SECTOR, sector(number + 1))
    assert part.cells[20] == 77 and part.erased[20] == 0
    assert part.erased.count(1) == len(part.cells) - 1
    assert part.calls.count(BLOCK) == 2


def test_before_the_plan_nothing_is_erased_ahead():
    part, slot = made()
    slot.write(0, sector(5))
    assert part.calls == [SECTOR] and part.cells[1] == 0


def test_a_sector_that_is_written_again_is_erased_again():
    part, slot = made()
    slot.plan(lambda first, end: False)
    slot.write(0, sector(0x0F))
    slot.write(0, sector(0xF0))
    assert part.cells[0] == 0xF0 and part.erased[:2] == [2, 1]


def test_the_last_part_of_a_sector():
    part, slot = made()
    slot.plan(lambda first, end: False)
    slot.write(SECTOR, sector(9)[:100])
    assert part.cells[1] == 9 and part.calls == [BLOCK]
    buf = bytearray(10)
    slot.readinto(SECTOR, buf)
    assert buf == b"\x09" * 10


def test_outside_the_slot():
    _, slot = made()
    for offset, size in ((SIZE, SECTOR), (-SECTOR, SECTOR), (100, SECTOR), (SIZE - SECTOR, 2 * SECTOR)):
        raises(StorageError, slot.write, offset, memoryview(bytearray(size)))


class Release:
    size = SIZE
    verifier = bytes(32)
    files = [("fw.bin", "slot", SIZE)]


def test_a_storage_looks_ahead_when_it_is_widened():
    part = Part()
    storage = Storage(Release(), TargetSlot(part))
    assert storage.plan is None
    storage.widen(ONES)
    storage.plan(lambda first, end: False)
    storage.write(SECTOR, sector(3))
    assert part.calls == [BLOCK] and part.cells[1] == 3
