"""Memory-mapped registers of a chip, with the SPI controller that reads the flash's identity."""

from __future__ import annotations

from fwchain.board.serial import chips

_SPI_USR = 1 << 18
_USR_MISO = 1 << 28
_READ_ID = 0x9F
_READ_SFDP = 0x5A


class Registers:
    """32-bit words by address. Writing the SPI command register runs the flash command that was set
    up.
    """

    def __init__(self, chip: chips.Chip, mac: bytes, flash_size: int) -> None:
        self._spi = chip.spi
        self._words = chip.registers(mac)
        self._id = chips.flash_id(flash_size)
        self._sfdp = chips.sfdp(flash_size)

    def read(self, address: int) -> int:
        """The word at `address`; 0 where nothing is."""
        return self._words.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Set the bits of `mask` at `address`."""
        if address == chips.DETECT_REGISTER:
            return  # ROM
        self._words[address] = (self.read(address) & ~mask | value & mask) & 0xFFFFFFFF
        if address == self._spi.base and value & mask & _SPI_USR:
            self._run_flash_command()
            self._words[address] &= ~_SPI_USR

    def _run_flash_command(self) -> None:
        spi = self._spi
        command = self.read(spi.base + spi.usr2) & 0xFF
        usr = self.read(spi.base + spi.usr)
        bits = (self.read(spi.base + spi.miso_dlen) & 0x3FF) + 1 if usr & _USR_MISO else 0
        answer = b""
        if command == _READ_ID:
            answer = self._id
        elif command == _READ_SFDP:
            address = self.read(spi.base + 4)
            start = address >> 8 if spi.address_at_top else address & 0xFFFFFF
            answer = self._sfdp[start : start + 4].ljust(4, b"\xff")
        if bits:
            word = int.from_bytes(answer[:4].ljust(4, b"\x00"), "little")
            self._words[spi.base + spi.w0] = word & ((1 << min(bits, 32)) - 1)
