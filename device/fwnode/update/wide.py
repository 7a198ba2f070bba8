"""Erasing a slot by 64 KiB: an option, for boards that have the memory. Flash erases a block two to three times faster
than its sixteen sectors, but MicroPython erases only as much as it writes.

So a block is erased by writing 64 KiB of ones, which change nothing, and its sectors are programmed as they come. The
buffer of ones is taken at the node's start. Loaded where the option is on.
"""

import gc

from fwnode.compat import MICROPYTHON, const
from fwnode.update import StorageError
from fwnode.update.slots import SECTOR, flash_error

BLOCK = const(65536)
_SPARE = const(65536)  # bytes that must be free besides: what a check and a download take


def ones(spare: int = _SPARE):  # type: ignore[no-untyped-def]
    """The buffer of ones, or None where memory does not allow it."""
    gc.collect()
    if MICROPYTHON and gc.mem_free() < BLOCK + spare:
        return None
    try:
        buffer = memoryview(bytearray(BLOCK))
    except MemoryError:
        return None
    line = b"\xff" * 256
    for at in range(0, BLOCK, 256):
        buffer[at : at + 256] = line
    return buffer


class WideSlot:
    """A TargetSlot whose free blocks are erased whole at their first write, once `plan` has told which are free."""

    def __init__(self, slot, buffer) -> None:  # type: ignore[no-untyped-def]
        self.slot = slot
        self.readinto = slot.readinto
        self.buffer = buffer
        self.free = bytearray(slot.size // BLOCK)
        self.blank = bytearray(slot.size // SECTOR)  # sectors that are erased and not programmed since

    def plan(self, kept) -> None:  # type: ignore[no-untyped-def]
        """`kept(first, end)` tells whether anything in these bytes is worth keeping."""
        for block in range(len(self.free)):
            self.free[block] = not kept(block * BLOCK, (block + 1) * BLOCK)

    def write(self, offset: int, buf) -> None:  # type: ignore[no-untyped-def]
        """As TargetSlot.write: erase what is not blank, and program."""
        slot = self.slot
        first = offset // SECTOR
        end = first + (len(buf) + SECTOR - 1) // SECTOR
        if offset % SECTOR or offset < 0 or offset + len(buf) > slot.size:
            raise StorageError("slot {}: {} bytes at {}, size {}".format(slot.label, len(buf), offset, slot.size))
        try:
            for block in range(offset // BLOCK, (end - 1) * SECTOR // BLOCK + 1):
                if block < len(self.free) and self.free[block]:
                    self._erase(block)
            if not all(self.blank[first:end]):
                slot.write(offset, buf)
            else:
                slot.part.writeblocks(first, buf, 0)
        except OSError as error:
            raise flash_error("write", slot.label, offset, error)
        for sector in range(first, end):
            self.blank[sector] = 0

    def _erase(self, block: int) -> None:
        self.free[block] = 0
        self.slot.changed()
        sectors = BLOCK // SECTOR
        self.slot.part.writeblocks(block * sectors, self.buffer)
        for sector in range(block * sectors, (block + 1) * sectors):
            self.blank[sector] = 1
