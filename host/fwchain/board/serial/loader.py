"""The serial loader in a chip's ROM, and the flasher stub that esptool uploads: the commands that
esptool 5 sends.

Sans-I/O: `Loader.feed` takes bytes of the port and returns the bytes to answer with. The ROM starts
the stub when esptool has uploaded one and asks to run it; the uploaded code itself is not executed.
No fuse is burnt, no security feature is on. Source: Espressif's "Serial Protocol" (esptool
documentation) and esptool's `loader.py`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Protocol

from fwchain.board.serial import slip
from fwchain.board.serial.chips import DETECT_REGISTER, Chip
from fwchain.board.serial.registers import Registers
from fwchain.board.serial.writer import SECTOR, FlashWriter, LoaderError

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SPI_SET_PARAMS, SPI_ATTACH, READ_FLASH_SLOW, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0E, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END, SPI_FLASH_MD5 = 0x10, 0x11, 0x12, 0x13
GET_SECURITY_INFO = 0x14
ERASE_FLASH, ERASE_REGION, READ_FLASH, RUN_USER_CODE = 0xD0, 0xD1, 0xD2, 0xD3

SYNC_DATA = b"\x07\x07\x12\x20" + b"\x55" * 32
SYNC_FRAME = slip.encode(struct.pack("<BBHI", 0, SYNC, len(SYNC_DATA), 0) + SYNC_DATA)
_SYNC_REPLIES = 8  # the ROM answers each SYNC this often
_ROM_SYNC_VALUE = 0x20120707  # anything but 0, which would say that a stub runs

INVALID_MESSAGE = 0x05
BAD_CHECKSUM = 0x07
STUB_BAD_LENGTH = 0xC0
STUB_BAD_CHECKSUM = 0xC1
STUB_FAILED_SPI = 0xC4


class FlashLike(Protocol):
    """What the loader needs of a flash: NOR rules are the flash's own."""

    size: int

    def read(self, offset: int, length: int, /) -> bytes: ...
    def erase(self, offset: int, length: int, /) -> None: ...
    def program(self, offset: int, data: bytes, /) -> None: ...


class Loader:
    """One stay in download mode. `leave()` is called when the loader is told to run the
    firmware.
    """

    def __init__(self, chip: Chip, flash: FlashLike, mac: bytes, leave: Callable[[], None] = lambda: None) -> None:
        self.chip = chip
        self.flash = flash
        self.stub = False
        self._leave = leave
        self._registers = Registers(chip, mac, flash.size)
        self._slip = slip.Decoder()
        self._ram_expected = 0
        self._ram_got = 0
        self._writer: FlashWriter | None = None
        self._reading: _Reading | None = None
        self._handlers: dict[int, Callable[[bytes], tuple[int, bytes]]] = {
            MEM_BEGIN: self._mem_begin,
            MEM_DATA: self._mem_data,
            READ_REG: self._read_reg,
            WRITE_REG: self._write_reg,
            SPI_SET_PARAMS: _accept,
            SPI_ATTACH: _accept,
            CHANGE_BAUDRATE: _accept,
            FLASH_BEGIN: self._flash_begin,
            FLASH_DATA: self._flash_data,
            DEFL_BEGIN: self._defl_begin,
            DEFL_DATA: self._flash_data,
            SPI_FLASH_MD5: self._md5,
        }
        self._rom_handlers = {READ_FLASH_SLOW: self._read_slow}
        self._stub_handlers = {ERASE_FLASH: self._erase_flash, ERASE_REGION: self._erase_region}

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the port as they come; returns what the chip sends."""
        return b"".join(self._frame(frame) for frame in self._slip.feed(data))

    def _frame(self, frame: bytes) -> bytes:
        if self._reading is not None:
            return self._acknowledged(frame)
        if len(frame) < 8 or frame[0] != 0:
            return b""
        op, length, check = struct.unpack_from("<BHI", frame, 1)
        body = frame[8:]
        if len(body) != length:
            return self._status(op, STUB_BAD_LENGTH if self.stub else INVALID_MESSAGE)
        if op in (FLASH_DATA, MEM_DATA, DEFL_DATA) and _checksum(body[16:]) != check & 0xFF:
            return self._status(op, STUB_BAD_CHECKSUM if self.stub else BAD_CHECKSUM)
        try:
            return self._command(op, body)
        except LoaderError as error:
            return self._status(op, error.code)
        except (struct.error, IndexError):
            return self._status(op, STUB_BAD_LENGTH if self.stub else INVALID_MESSAGE)

    def _command(self, op: int, body: bytes) -> bytes:
        if op == SYNC:
            if body != SYNC_DATA:
                return self._status(op, INVALID_MESSAGE)
            return self._reply(op, 0 if self.stub else _ROM_SYNC_VALUE) * _SYNC_REPLIES
        if op == MEM_END:
            return self._mem_end(body)
        if op in (FLASH_END, DEFL_END):
            return self._flash_end(op, body)
        if op == READ_FLASH and self.stub:
            return self._read_begin(op, body)
        if op == RUN_USER_CODE and self.stub:
            self._leave()
            return b""
        if op == GET_SECURITY_INFO and self.chip.has_security_info:
            return self._reply(op, 0, self.chip.security_info())
        own = self._stub_handlers if self.stub else self._rom_handlers
        handler = own.get(op) or self._handlers.get(op)
        if handler is None:
            return self._status(op, 0xFF if self.stub else INVALID_MESSAGE)
        value, data = handler(body)
        return self._reply(op, value, data)

    def _reply(self, op: int, value: int = 0, data: bytes = b"", status: bytes = b"\0\0") -> bytes:
        data += status if self.stub else status + b"\0\0"
        return slip.encode(struct.pack("<BBHI", 1, op, len(data), value) + data)

    def _status(self, op: int, code: int) -> bytes:
        return self._reply(op, status=bytes((1, code)))

    # RAM: the stub's upload

    def _mem_begin(self, body: bytes) -> tuple[int, bytes]:
        size, _blocks, _block_size, _offset = struct.unpack("<IIII", body)
        self._ram_expected += size
        return 0, b""

    def _mem_data(self, body: bytes) -> tuple[int, bytes]:
        length = struct.unpack_from("<I", body)[0]
        if length != len(body) - 16:
            raise LoaderError(INVALID_MESSAGE)
        self._ram_got += length
        return 0, b""

    def _mem_end(self, body: bytes) -> bytes:
        stay, entry = struct.unpack("<II", body)
        if stay or not entry:
            return self._reply(MEM_END)
        if self._ram_got < self._ram_expected or not self._ram_got:
            return self._status(MEM_END, INVALID_MESSAGE)
        answer = self._reply(MEM_END)
        self.stub = True
        self._ram_expected = self._ram_got = 0
        return answer + slip.encode(b"OHAI")

    # registers

    def _read_reg(self, body: bytes) -> tuple[int, bytes]:
        (address,) = struct.unpack("<I", body)
        return self._registers.read(address), b""

    def _write_reg(self, body: bytes) -> tuple[int, bytes]:
        for address, value, mask, _delay in struct.iter_unpack("<IIII", body):
            self._registers.write(address, value, mask)
            if address == self.chip.watchdog_config and address and value & 1 << 31:
                self._leave()
        return 0, b""

    # flash

    def _flash_begin(self, body: bytes) -> tuple[int, bytes]:
        erase, _blocks, block_size, offset = struct.unpack_from("<IIII", body)
        self._writer = FlashWriter(self.flash, offset, erase, block_size, self.stub)
        return 0, b""

    def _defl_begin(self, body: bytes) -> tuple[int, bytes]:
        size, _blocks, block_size, offset = struct.unpack_from("<IIII", body)
        self._writer = FlashWriter(self.flash, offset, size, block_size, self.stub, inflate=True)
        return 0, b""

    def _flash_data(self, body: bytes) -> tuple[int, bytes]:
        length, sequence = struct.unpack_from("<II", body)
        if length != len(body) - 16:
            raise LoaderError(STUB_BAD_LENGTH if self.stub else INVALID_MESSAGE)
        if self._writer is None:
            raise LoaderError(0xC6 if self.stub else INVALID_MESSAGE)
        self._writer.block(sequence, body[16:])
        return 0, b""

    def _flash_end(self, op: int, body: bytes) -> bytes:
        (stay,) = struct.unpack("<I", body)
        answer = self._reply(op)
        self._writer = None
        if not self.stub:
            self._leave()
        elif not stay:
            self.stub = False  # a stub that reboots falls back to the ROM, GPIO0 being low
        return answer

    def _md5(self, body: bytes) -> tuple[int, bytes]:
        offset, size = struct.unpack_from("<II", body)
        digest = hashlib.md5(self._range(offset, size), usedforsecurity=False)
        return 0, digest.digest() if self.stub else digest.hexdigest().encode()

    def _read_slow(self, body: bytes) -> tuple[int, bytes]:
        offset, length = struct.unpack("<II", body)
        return 0, self._range(offset, min(length, 64)).ljust(64, b"\0")

    def _erase_flash(self, body: bytes) -> tuple[int, bytes]:
        self.flash.erase(0, self.flash.size)
        return 0, b""

    def _erase_region(self, body: bytes) -> tuple[int, bytes]:
        offset, size = struct.unpack("<II", body)
        if offset % SECTOR or size % SECTOR or offset + size > self.flash.size:
            raise LoaderError(STUB_FAILED_SPI)
        self.flash.erase(offset, size)
        return 0, b""

    def _range(self, offset: int, size: int) -> bytes:
        if offset + size > self.flash.size:
            raise LoaderError(STUB_FAILED_SPI if self.stub else 0x06)
        return self.flash.read(offset, size)

    # the stub's READ_FLASH: data frames against acknowledgements

    def _read_begin(self, op: int, body: bytes) -> bytes:
        offset, size, block, window = struct.unpack("<IIII", body)
        data = self._range(offset, size)
        if not 0 < block <= 0x4000:
            raise LoaderError(0xC2)
        self._reading = _Reading(data, block, max(window, block))
        return self._reply(op) + self._read_on()

    def _acknowledged(self, frame: bytes) -> bytes:
        assert self._reading is not None
        if len(frame) != 4:
            self._reading = None  # the stub gives up on anything but an acknowledgement
            return self._frame(frame)
        self._reading.acknowledged = struct.unpack("<I", frame)[0]
        return self._read_on()

    def _read_on(self) -> bytes:
        reading = self._reading
        assert reading is not None
        frames = [slip.encode(part) for part in reading.due()]
        if reading.acknowledged >= len(reading.data):
            self._reading = None
            digest = hashlib.md5(reading.data, usedforsecurity=False).digest()
            frames.append(slip.encode(digest))
        return b"".join(frames)


class _Reading:
    """A READ_FLASH under way: how much was sent, how much was acknowledged (bytes)."""

    def __init__(self, data: bytes, block: int, window: int) -> None:
        self.data = data
        self.acknowledged = 0
        self._block = block
        self._window = window
        self._sent = 0

    def due(self) -> list[bytes]:
        """The data frames that the window allows now."""
        parts = []
        while self._sent < len(self.data) and self._sent - self.acknowledged < self._window:
            parts.append(self.data[self._sent : self._sent + self._block])
            self._sent += len(parts[-1])
        return parts


def _accept(body: bytes) -> tuple[int, bytes]:
    """A command that sets up hardware which is not emulated: taken, nothing to do."""
    return 0, b""


def _checksum(data: bytes) -> int:
    """The loader's checksum: XOR of all bytes, from 0xEF."""
    value = int.from_bytes(data, "little")
    width = len(data)
    while width > 1:
        half = (width + 1) // 2
        value = (value >> 8 * half) ^ (value & (1 << 8 * half) - 1)
        width = half
    return value ^ 0xEF


__all__ = ["DETECT_REGISTER", "SYNC_FRAME", "FlashLike", "Loader", "LoaderError"]
