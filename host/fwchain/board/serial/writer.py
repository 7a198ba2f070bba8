"""Writing flash as the ROM loader and the stub do: the ROM erases first, the stub a sector before
it programs it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fwchain.board.serial.loader import FlashLike

SECTOR = 4096

ROM_FLASH_FAILED = 0x06
ROM_INFLATE_FAILED = 0x0B
FAILED_SPI = 0xC4
INFLATE_ERROR = 0xC7
TOO_MUCH_DATA = 0xC9


class LoaderError(Exception):
    """A command failed; `code` is the loader's own error byte."""

    def __init__(self, code: int) -> None:
        super().__init__(f"loader error 0x{code:02x}")
        self.code = code


class FlashWriter:
    """One FLASH_BEGIN or FLASH_DEFL_BEGIN and the blocks that follow it.

    `size` is in bytes, uncompressed. Blocks come in order; a repeated block (esptool asks again
    when an answer is lost) is taken once.
    """

    def __init__(
        self,
        flash: FlashLike,
        offset: int,
        size: int,
        block_size: int,
        stub: bool,
        inflate: bool = False,
    ) -> None:
        self._flash = flash
        self._stub = stub
        self._at = offset
        self._left = size
        self._inflate = zlib.decompressobj() if inflate else None
        self._erased_to = offset - offset % SECTOR
        self._end = min(-(-(offset + size) // SECTOR) * SECTOR, flash.size)
        self._next = 0
        if offset + size > flash.size:
            raise LoaderError(FAILED_SPI if stub else ROM_FLASH_FAILED)
        if not stub:
            self._erase(self._end)

    def block(self, sequence: int, data: bytes) -> None:
        """Take block number `sequence`; raises LoaderError when it does not fit what was
        announced.
        """
        if sequence == self._next - 1:
            return
        if sequence != self._next:
            raise LoaderError(FAILED_SPI if self._stub else ROM_FLASH_FAILED)
        self._next += 1
        if self._inflate is not None:
            try:
                data = self._inflate.decompress(data)
            except zlib.error:
                raise LoaderError(INFLATE_ERROR if self._stub else ROM_INFLATE_FAILED) from None
            if len(data) > self._left:
                raise LoaderError(TOO_MUCH_DATA if self._stub else ROM_INFLATE_FAILED)
        data = data[: self._left]  # the last block comes padded
        if self._stub:
            self._erase(-(-(self._at + len(data)) // SECTOR) * SECTOR)
        self._flash.program(self._at, data)
        self._at += len(data)
        self._left -= len(data)

    def _erase(self, end: int) -> None:
        if end > self._erased_to:
            self._flash.erase(self._erased_to, end - self._erased_to)
            self._erased_to = end
