"""Writing a virtual board's files and NVS from outside, as provisioning over a serial port does from inside.

The board must be off: littlefs has one writer.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from littlefs import LittleFS
from littlefs.context import UserContext
from littlefs.errors import LittleFSError

from fwchain.board.flash import SECTOR, Flash
from fwchain.board.partition_table import Partition, PartitionTable
from fwchain.board.runtime.vb import parts
from fwchain.board.runtime.vb.nvs import Nvs
from fwchain.board.runtime.vb.nvspages import NvsError
from fwchain.errors import HostError

# MicroPython's VfsLfs2: readsize and progsize 32, cache four times that, lookahead 32
READ_SIZE = PROG_SIZE = LOOKAHEAD = 32
CACHE_SIZE = 128
BLOCK_CYCLES = 100


class ProvisionError(HostError):
    """The board's file system or NVS cannot take what it was given."""


class _FlashContext(UserContext):  # type: ignore[misc]
    """littlefs's block device over a partition of the flash."""

    def __init__(self, flash: Flash, part: Partition) -> None:
        self.flash = flash
        self.part = part

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        """Read `size` bytes of a block."""
        return bytearray(self.flash.read(self.part.offset + block * SECTOR + off, size))

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        """Program an erased place."""
        self.flash.program(self.part.offset + block * SECTOR + off, data)
        return 0

    def erase(self, cfg: Any, block: int) -> int:
        """Erase a block."""
        self.flash.erase(self.part.offset + block * SECTOR)
        return 0


def filesystem(flash: Flash, table: PartitionTable) -> LittleFS:
    """The board's littlefs, mounted; an erased one is formatted first. ProvisionError when it is damaged."""
    part = table["vfs"]
    fs = LittleFS(
        context=_FlashContext(flash, part),
        mount=False,
        block_size=SECTOR,
        block_count=part.size // SECTOR,
        read_size=READ_SIZE,
        prog_size=PROG_SIZE,
        cache_size=CACHE_SIZE,
        lookahead_size=LOOKAHEAD,
        block_cycles=BLOCK_CYCLES,
    )
    try:
        fs.mount()
    except LittleFSError as error:
        if flash.read(part.offset, SECTOR) != b"\xff" * SECTOR:
            raise ProvisionError(f"the board's file system is damaged: {error}") from error
        fs.format()
        fs.mount()
    return fs


def write_files(flash: Flash, table: PartitionTable, files: Mapping[str, bytes]) -> None:
    """Write files (absolute path → content) to the board's littlefs, with their folders."""
    fs = filesystem(flash, table)
    try:
        for path, data in files.items():
            folder = posixpath.dirname(path)
            if folder.strip("/"):
                fs.makedirs(folder, exist_ok=True)
            with fs.open(path, "wb") as file:
                file.write(data)
    except LittleFSError as error:
        raise ProvisionError(f"{path}: {error}") from error
    finally:
        fs.unmount()


def read_file(flash: Flash, table: PartitionTable, path: str) -> bytes:
    """A file of the board's littlefs; FileNotFoundError when there is none."""
    fs = filesystem(flash, table)
    try:
        with fs.open(path, "rb") as file:
            return bytes(file.read())
    except LittleFSError as error:
        raise FileNotFoundError(path) from error
    finally:
        fs.unmount()


def list_files(flash: Flash, table: PartitionTable) -> list[str]:
    """Paths of all files of the board's littlefs."""
    fs = filesystem(flash, table)
    try:
        return sorted(posixpath.join(root, name) for root, _, names in fs.walk("/") for name in names)
    finally:
        fs.unmount()


def open_nvs(flash: Flash, table: PartitionTable) -> Nvs:
    """The board's NVS; ProvisionError when the layout has none."""
    part = table.find(parts.DATA, parts.DATA_NVS)
    if part is None:
        raise ProvisionError("this layout has no NVS partition")
    return Nvs(flash.nor, part.offset, part.size)


def write_nvs(flash: Flash, table: PartitionTable, values: Mapping[str, Mapping[str, int | bytes]]) -> None:
    """Write values: namespace → key → i32 (int) or blob (bytes)."""
    nvs = open_nvs(flash, table)
    try:
        for namespace, entries in values.items():
            number = nvs.open(namespace)
            for key, value in entries.items():
                if isinstance(value, int):
                    nvs.set_i32(number, key, value)
                else:
                    nvs.set_blob(number, key, value)
    except NvsError as error:
        raise ProvisionError(f"NVS {namespace}: {error.args[1]}") from error


def read_nvs(flash: Flash, table: PartitionTable, namespace: str, key: str) -> int | bytes | None:
    """A value of the board's NVS, or None when there is none."""
    nvs = open_nvs(flash, table)
    number = nvs.namespaces().get(namespace)
    if number is None:
        return None
    try:
        return int(nvs.get_i32(number, key))
    except NvsError:
        pass
    try:
        buf = bytearray(nvs.blob_size(number, key))
        nvs.get_blob(number, key, buf)
        return bytes(buf)
    except NvsError:
        return None


def provision(
    flash: Flash,
    table: PartitionTable,
    files: Mapping[str, bytes] | None = None,
    nvs: Mapping[str, Mapping[str, int | bytes]] | None = None,
) -> None:
    """Write files and NVS values of a board that is off."""
    if files:
        write_files(flash, table, files)
    if nvs:
        write_nvs(flash, table, nvs)
