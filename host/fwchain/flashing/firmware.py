"""What a firmware file is: a full flash image, an application image, or neither."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from fwchain.board.boards import Board
from fwchain.board.partition_table import PartitionTable, TableError
from fwchain.flashing.errors import WrongFile

IMAGE_MAGIC = 0xE9
TABLE_MAGIC = b"\xaa\x50"
APP_DESC_MAGIC = 0xABCD5432
SECTOR = 4096

CHIP_NAMES = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6"}


@dataclass(frozen=True)
class Firmware:
    """A file that was looked at. `table` is there in a full image; `version` in an app image."""

    path: Path
    data: bytes
    chip_id: int
    table: PartitionTable | None
    version: str

    @property
    def full(self) -> bool:
        """True for a full flash image (boot loader, table, application)."""
        return self.table is not None


def look(path: Path | str, board: Board) -> Firmware:
    """Read a firmware file for `board`; raises WrongFile saying what it is instead."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongFile(f"{path}: {error.strerror}") from None
    if len(data) < 24 or data[0] != IMAGE_MAGIC:
        raise WrongFile(f"{path} is no ESP image (it begins with {data[:1].hex() or 'nothing'}, not e9)")
    (chip_id,) = struct.unpack_from("<H", data, 12)
    if chip_id != board.chip_id:
        raise WrongFile(
            f"{path} is built for {CHIP_NAMES.get(chip_id, f'chip {chip_id}')}, "
            f"BOARD={board.name} is an {CHIP_NAMES.get(board.chip_id, board.chip)}"
        )
    return Firmware(path, data, chip_id, _table(path, data, board), _version(data))


def _table(path: Path, data: bytes, board: Board) -> PartitionTable | None:
    at = board.partition_table_offset - board.bootloader_offset
    if data[at : at + 2] != TABLE_MAGIC:
        return None
    try:
        return PartitionTable.from_binary(data[at : at + 0xC00])
    except TableError as error:
        raise WrongFile(f"{path}: damaged partition table: {error}") from None


def _version(data: bytes) -> str:
    (magic,) = struct.unpack_from("<I", data.ljust(36, b"\0"), 32)
    return data[48:80].split(b"\0")[0].decode("ascii", "replace") if magic == APP_DESC_MAGIC else ""


def check_full(firmware: Firmware, board: Board) -> None:
    """Raise WrongFile unless this is a full flash image that `board` can run and update."""
    table = firmware.table
    if table is None:
        raise WrongFile(
            f"{firmware.path} is an application image alone, without boot loader and partition "
            "table: give the full .bin, or write this one into a slot with --app"
        )
    end = board.bootloader_offset + len(firmware.data)
    if end > board.flash_size:
        raise WrongFile(
            f"{firmware.path} is too large: it would end at 0x{end:x}, the flash of "
            f"BOARD={board.name} has 0x{board.flash_size:x} bytes"
        )
    check_layout(table, board.flash_size, str(firmware.path))


def check_layout(table: PartitionTable, flash_size: int, what: str) -> None:
    """Raise WrongFile when a layout cannot be updated over the air."""
    try:
        table.check_ota(flash_size)
    except TableError as error:
        raise WrongFile(
            f"{what} has no OTA layout ({error}): take the OTA variant of MicroPython (ESP32_GENERIC-OTA and alike)"
        ) from None


def check_app(firmware: Firmware, slot_size: int) -> None:
    """Raise WrongFile unless this is an application image that fits a slot of `slot_size` bytes."""
    if firmware.full:
        raise WrongFile(
            f"{firmware.path} is a full flash image (boot loader included), where an application "
            "image belongs: take the .app-bin of the same build, or flash it without --app"
        )
    if len(firmware.data) > slot_size:
        raise WrongFile(f"{firmware.path} is too large: {len(firmware.data)} bytes, the slot has {slot_size}")
