"""What a chip answers when it is asked who it is: registers, eFuses, identifiers.

Sources: Espressif's technical reference manuals (eFuse controller, SPI controller) and esptool's
`targets/esp32.py`, `esp32s3.py`, `esp32c3.py`, which read these registers. Everything not named
here reads as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

DETECT_REGISTER = 0x40001000  # a word of ROM that differs from chip to chip
FLASH_VENDOR = 0xC8  # GigaDevice, the usual part on modules
FLASH_TYPE = 0x40  # GD25Q series


@dataclass(frozen=True)
class SpiController:
    """Addresses of the SPI flash controller's registers, and where it wants a short address."""

    base: int
    usr: int
    usr1: int
    usr2: int
    mosi_dlen: int
    miso_dlen: int
    w0: int
    address_at_top: bool  # True: a 24-bit address stands in bits 31..8


@dataclass(frozen=True)
class Chip:
    """One chip model: constants only. `registers` makes its memory for a MAC (6 bytes)."""

    name: str
    title: str
    image_chip_id: int
    magic: int
    has_security_info: bool
    rom_base: str  # first lines of the ROM's boot log
    build: str
    spi: SpiController
    registers: Callable[[bytes], dict[int, int]] = field(repr=False)
    watchdog_config: int = 0  # register that arms the RTC watchdog; 0: esptool does not use it here

    def security_info(self) -> bytes:
        """Answer to GET_SECURITY_INFO: flags, crypt count, key purposes, chip ID, API version; no
        fuse burnt.
        """
        return bytes(12) + self.image_chip_id.to_bytes(4, "little") + bytes(4)


def flash_id(size: int) -> bytes:
    """JEDEC ID (3 bytes) of a flash of `size` bytes, a power of two."""
    return bytes((FLASH_VENDOR, FLASH_TYPE, size.bit_length() - 1))


def sfdp(size: int) -> bytes:
    """Start of the SFDP table (JESD216) of a flash of `size` bytes: header and density."""
    header = b"SFDP" + bytes((6, 1, 1, 0xFF))
    basic = bytes((0x00, 0x06, 0x01, 0x10, 0x30, 0x00, 0x00, 0xFF))
    vendor = bytes((FLASH_VENDOR, 0x00, 0x01, 0x03, 0x90, 0x00, 0x00, 0xFF))
    table = header + basic + vendor
    table += b"\xff" * (0x30 - len(table))
    return table + (0xFFF120E5).to_bytes(4, "little") + (size * 8 - 1).to_bytes(4, "little")


def _esp32(mac: bytes) -> dict[int, int]:
    fuse = 0x3FF5A000
    return {
        DETECT_REGISTER: 0x00F01D83,
        fuse + 4: int.from_bytes(mac[2:], "big"),
        fuse + 8: int.from_bytes(mac[:2], "big"),
        # package 1 (D0WD), rated for 240 MHz, revision bit 0
        fuse + 12: 1 << 9 | 1 << 13 | 1 << 15,
        fuse + 16: 50,  # CK8M_FREQ: with RTCCALICFG1 below, a 40 MHz crystal
        fuse + 20: 1 << 20 | 1 << 24,  # revision bit 1, minor 1
        0x3FF6607C: 1 << 31,  # APB_CTL_DATE: revision bit 2; together v3.1
        0x3FF5F06C: 2048 << 7,
        0x3FF44038: 0x13,  # GPIO_STRAP: UART boot, flash at 3.3 V
        0x3FF40014: 40_000_000 // 115200,
    }


def _block1(base: int, mac: bytes, word3: int) -> dict[int, int]:
    return {
        base: int.from_bytes(mac[2:], "big"),
        base + 4: int.from_bytes(mac[:2], "big"),
        base + 12: word3,
    }


def _esp32s3(mac: bytes) -> dict[int, int]:
    registers = _block1(0x60007044, mac, 2 << 18)  # QFN56, revision v0.2
    registers[0x60004038] = 0x00  # GPIO_STRAP: download boot, flash at 3.3 V
    registers[0x60000014] = 40_000_000 // 115200
    registers[DETECT_REGISTER] = 0x00000009
    return registers


def _esp32c3(mac: bytes) -> dict[int, int]:
    registers = _block1(0x60008844, mac, 4 << 18)  # QFN32, revision v0.4
    registers[0x60000014] = 40_000_000 // 115200
    registers[DETECT_REGISTER] = 0x1B31506F
    return registers


CHIPS = {
    "esp32": Chip(
        name="esp32",
        title="ESP32",
        image_chip_id=0,
        magic=0x00F01D83,
        has_security_info=False,
        rom_base="ets Jul 29 2019 12:21:46",
        build="",
        spi=SpiController(0x3FF42000, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x80, True),
        registers=_esp32,
    ),
    "esp32s3": Chip(
        name="esp32s3",
        title="ESP32-S3",
        image_chip_id=9,
        magic=0x00000009,
        has_security_info=True,
        rom_base="ESP-ROM:esp32s3-20210327",
        build="Build:Mar 27 2021",
        spi=SpiController(0x60002000, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x58, False),
        registers=_esp32s3,
        watchdog_config=0x60008098,
    ),
    "esp32c3": Chip(
        name="esp32c3",
        title="ESP32-C3",
        image_chip_id=5,
        magic=0x1B31506F,
        has_security_info=True,
        rom_base="ESP-ROM:esp32c3-api1-20210207",
        build="Build:Feb  7 2021",
        spi=SpiController(0x60002000, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x58, False),
        registers=_esp32c3,
        watchdog_config=0x60008090,
    ),
}


def chip(name: str) -> Chip:
    """The chip called `name`; a virtual board of no stated chip is an ESP32."""
    try:
        return CHIPS["esp32" if name == "virtual" else name]
    except KeyError:
        raise ValueError(f"chip {name!r} is not one of {', '.join(CHIPS)}") from None
