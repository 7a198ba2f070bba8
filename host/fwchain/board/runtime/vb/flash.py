"""NOR flash rules over mapped memory: erase by sector sets all bits, program only clears bits.

Each sector erase and each program of up to 256 bytes (never across a 256-byte page, as on the
chip) is one operation. Operations are counted, and power can be cut at one of them, in four ways:

    before  nothing of it happened
    mid     its first half happened
    bits    half of its bits happened in every byte (a marginal cell reads either way on a real
    chip) after   all of it happened, nothing later did

Source of the numbers: W25Q32 data sheet (256-byte pages, 4 KiB sectors), as on most ESP32 modules.
"""

import struct

from . import state as st

try:
    from .fast import add, blank, clear, clear_pages, copy
except ImportError:
    from .plain import add, blank, clear, clear_pages, copy

SECTOR = 4096
PAGE = 256

BEFORE = 0
MID = 1
BITS = 2
AFTER = 3
PHASES = ("before", "mid", "bits", "after")


class FlashError(Exception):
    """A request that no flash chip takes: outside the chip, or an erase that is not by whole
    sectors.
    """


class Nor:
    """Flash over `mem`, with counters and power cuts in `state`; `power_off()` must not return."""

    def __init__(self, mem, state, power_off):
        self.mem = mem
        self.state = state
        self.size = len(mem)
        self.power_off = power_off
        self.journal = None  # memory that every operation is noted in, for fwchain.board.powercut

    def _check(self, offset, length):
        if offset < 0 or length < 0 or offset + length > self.size:
            raise FlashError("flash: {} bytes at 0x{:x}, chip has {}".format(length, offset, self.size))

    def _count(self, table):
        """Count one operation; returns the phase of the power cut that strikes it, or None."""
        state = self.state
        add(state, st.OPS, 1)
        phase = None
        if st.get(state, st.CUT_AT) and st.get(state, st.CUT_AT) == st.get(state, st.OPS):
            phase = st.get(state, st.CUT_PHASE)
            st.put(state, st.CUT_AT, 0)
            if phase == BEFORE:
                self._cut()
        add(state, table, 1)
        return phase

    def _cut(self):
        st.put(self.state, st.REQUEST, st.REQUEST_CUT)
        self.power_off()

    def readinto(self, offset, buf):
        """Fill `buf` from `offset`."""
        n = len(buf)
        self._check(offset, n)
        copy(buf, self.mem, offset, n)

    def erase(self, offset, length):
        """Erase whole sectors."""
        self._check(offset, length)
        if offset % SECTOR or length % SECTOR:
            raise FlashError("flash: erase of {} at 0x{:x} is not by sectors".format(length, offset))
        mem = self.mem
        plain = self._plain()
        for start in range(offset, offset + length, SECTOR):
            if plain:
                add(self.state, st.OPS, 1)
                add(self.state, st.WEAR + start // SECTOR * 4, 1)
                blank(mem, start, SECTOR)
                continue
            phase = self._count(st.WEAR + start // SECTOR * 4)
            if phase == BITS:
                for i in range(start, start + SECTOR):
                    mem[i] = mem[i] | 0x55
            else:
                blank(mem, start, SECTOR // 2 if phase == MID else SECTOR)
            if phase is not None:
                self._cut()
            if self.journal is not None:
                self._note(start, b"")

    def _plain(self):
        """Whether nobody waits for one operation among many, so that a sector's may be done as one."""
        return self.journal is None and not st.get(self.state, st.CUT_AT)

    def program(self, offset, data):
        """Clear the bits that are 0 in `data`."""
        n = len(data)
        self._check(offset, n)
        done = 0
        if not (offset | n) & 3 and self._plain():
            state = self.state
            while done < n:
                at = offset + done
                length = min(n - done, SECTOR - at % SECTOR)
                pages = (at % PAGE + length + PAGE - 1) // PAGE
                add(state, st.OPS, pages)
                add(state, st.WEAR + (self.size + at) // SECTOR * 4, pages)
                wrong = clear_pages(self.mem, at, data, done, length)
                if wrong:
                    add(state, st.VIOLATIONS, wrong)
                done += length
            return
        while done < n:
            at = offset + done
            length = min(n - done, PAGE - at % PAGE)
            self._program_page(at, data, done, length)
            done += length

    def _program_page(self, at, data, start, n):
        mem = self.mem
        phase = self._count(st.WEAR + (self.size + at) // SECTOR * 4)
        if phase == BITS:
            for i in range(n):
                mem[at + i] = mem[at + i] & (data[start + i] | 0x55)
        elif clear(mem, at, data, start, n // 2 if phase == MID else n):
            add(self.state, st.VIOLATIONS, 1)
        if phase is not None:
            self._cut()
        if self.journal is not None:
            self._note(at, memoryview(data)[start : start + n])

    def _note(self, offset, data):
        """Journal: length of all records u64, then records of offset u32, length u16 (0: an erase), data."""
        journal = self.journal
        at = st.get64(journal, 0)
        struct.pack_into("<IH", journal, 8 + at, offset, len(data))
        journal[14 + at : 14 + at + len(data)] = data
        st.put64(journal, 0, at + 6 + len(data))

    def word(self, offset):
        """The little-endian 32-bit word at `offset`."""
        return struct.unpack_from("<I", self.mem, offset)[0]
