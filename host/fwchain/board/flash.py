"""The virtual board's flash: a file in the chip's own form, with a file of counters beside it.

Both files are mapped shared, so that the running board, its supervisor and the flashing tools see
one flash.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from fwchain.board.runtime.vb import flash as nor
from fwchain.board.runtime.vb import state as st
from fwchain.board.runtime.vb.flash import SECTOR, FlashError

__all__ = ["SECTOR", "Flash", "FlashError", "PowerCut"]

STATE_NAME = "flash.state"


class PowerCut(BaseException):
    """Power was cut at a flash operation. No `except Exception` may swallow it, as on a real
    board.
    """


def _raise_cut() -> None:
    raise PowerCut


class Flash:
    """A NOR flash of `size` bytes in a file; the state (wear, cuts, reset request) is
    `flash.state` beside it.

    `power_off` is called when a power cut strikes and must not return; by default it raises
    `PowerCut`.
    """

    def __init__(self, path: Path | str, power_off: Callable[[], object] = _raise_cut) -> None:
        self.path = Path(path)
        self.size = self.path.stat().st_size
        if self.size == 0 or self.size % SECTOR:
            raise FlashError(f"{self.path}: {self.size} bytes are no flash (not whole sectors)")
        state_path = self.state_path(self.path)
        state_size = st.size(self.size)
        if not state_path.exists() or state_path.stat().st_size != state_size:
            _make_state(state_path, self.size)
        self._mem = _map(self.path, self.size)
        self._state = _map(state_path, state_size)
        self.mem = memoryview(self._mem)
        self.state = memoryview(self._state)
        self.nor = nor.Nor(self.mem, self.state, power_off)

    @staticmethod
    def state_path(path: Path | str) -> Path:
        """Where the state of the flash file `path` lies."""
        return Path(path).with_name(STATE_NAME)

    @classmethod
    def create(cls, path: Path | str, size: int = 4 * 1024 * 1024) -> Flash:
        """Make an erased flash (all 0xFF) of `size` bytes with fresh counters; replaces what was
        there.
        """
        path = Path(path)
        if size <= 0 or size % SECTOR:
            raise FlashError(f"flash size {size} is not a multiple of {SECTOR}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "wb") as file:
                for _ in range(size // SECTOR):
                    file.write(b"\xff" * SECTOR)
            _make_state(cls.state_path(path), size)
        except OSError:  # a full disk
            path.unlink(missing_ok=True)
            cls.state_path(path).unlink(missing_ok=True)
            raise
        return cls(path)

    def read(self, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset`."""
        self._check(offset, length)
        return bytes(self.mem[offset : offset + length])

    def erase(self, offset: int, length: int = SECTOR) -> None:
        """Erase whole sectors to 0xFF; raises FlashError when the range is not by sectors."""
        self.nor.erase(offset, length)

    def erase_all(self) -> None:
        """Erase the whole chip."""
        self.nor.erase(0, self.size)

    def program(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Clear the bits that are 0 in `data`: NOR flash never sets one."""
        self.nor.program(offset, data)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Erase the sectors that `data` touches, then program it; `offset` must begin a sector."""
        self.erase(offset, -(-len(data) // SECTOR) * SECTOR)
        self.program(offset, data)

    def flip(self, offset: int, mask: int = 1) -> int:
        """Flip bits of one byte behind the chip's back (no rule, no counter); returns the new
        byte.
        """
        self._check(offset, 1)
        self.mem[offset] ^= mask
        return self.mem[offset]

    def cut_at(self, operation: int | None, phase: int = nor.BEFORE) -> None:
        """Cut power at the `operation`-th flash operation from now (1 is the next); None: never."""
        at = 0 if operation is None else self.operations + operation
        st.put(self.state, st.CUT_PHASE, phase)
        st.put(self.state, st.CUT_AT, at)

    @property
    def operations(self) -> int:
        """Flash operations since the board was made."""
        return int(st.get(self.state, st.OPS))

    @property
    def violations(self) -> int:
        """Programs that asked for a 1 where the flash held a 0: each is a bug of whoever wrote."""
        return int(st.get(self.state, st.VIOLATIONS))

    def wear(self) -> tuple[list[int], list[int]]:
        """Erases and programs of each sector."""
        count = self.size // SECTOR
        words = self.state[st.WEAR : st.WEAR + 8 * count].cast("I").tolist()
        return words[:count], words[count:]

    def sync(self) -> None:
        """Write the file to disk, for readers that do not map it."""
        self._mem.flush()
        self._state.flush()

    def close(self) -> None:
        """Give the maps back."""
        self.nor.mem = self.nor.state = b""
        self.mem.release()
        self.state.release()
        for mapped in (self._mem, self._state):
            try:
                mapped.close()
            except BufferError:
                pass  # an exception on its way holds a view of it: the map goes when that does

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise FlashError(f"flash: {length} bytes at 0x{offset:x}, chip has {self.size}")

    def __enter__(self) -> Flash:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _make_state(path: Path, flash_size: int) -> None:
    state = bytearray(st.size(flash_size))
    st.put(state, 0, st.MAGIC)
    st.put(state, st.FLASH_SIZE, flash_size)
    st.put(state, st.RESET_CAUSE, st.PWRON_RESET)
    path.write_bytes(state)


def _map(path: Path, size: int) -> mmap.mmap:
    handle = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(handle, size, access=mmap.ACCESS_WRITE)
    finally:
        os.close(handle)
