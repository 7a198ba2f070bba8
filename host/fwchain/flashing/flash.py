"""`fwchain board flash`: erase, write and verify with esptool."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from fwchain.board.boards import Board
from fwchain.board.partition_table import PartitionTable, TableError
from fwchain.flashing import firmware, lines, ports, tools
from fwchain.flashing.errors import WrongFile
from fwchain.flashing.show import Show

BAUD = 460800
TABLE_SIZE = 0x1000


class Esptool:
    """esptool on one port, for one kind of board."""

    def __init__(self, board: Board, port: str, baud: int = BAUD) -> None:
        self.board = board
        self.port = port
        self._baud = baud
        self._slow = "://" in port  # pyserial's network ports take their time

    def run(self, *args: object, after: str = "no-reset-stub", **options) -> str:  # type: ignore[no-untyped-def]
        """One esptool command; `after` is what becomes of the chip."""
        head = ["--chip", self.board.chip, "--port", self.port, "--baud", self._baud]
        if self._slow:
            head[4:] = []
        options.setdefault("timeout", 900.0 if self._slow else 300.0)
        return tools.run("esptool", self.port, [*head, "--after", after, *args], **options)

    def read(self, offset: int, length: int, after: str = "no-reset-stub") -> bytes:
        """Bytes of the flash."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "read.bin")
            self.run("read-flash", hex(offset), hex(length), out, after=after)
            return out.read_bytes()


def flash_full(board: Board, port: str, path: Path, show: Show, *, erase: bool = True, baud: int = BAUD) -> None:
    """Write a full flash image: erase all (unless `erase` is False), write, verify, run."""
    image = firmware.look(path, board)
    firmware.check_full(image, board)
    esptool = Esptool(board, port, baud)
    if erase:
        with show.step(f"erasing the flash of {port}"):
            esptool.run("erase-flash")
    _write(esptool, board.bootloader_offset, path, len(image.data), show)


def flash_app(board: Board, port: str, path: Path, show: Show, *, baud: int = BAUD) -> None:
    """Write an application image into the board's first slot and make it the one that boots.

    The layout is the one that lies in the board's own flash; keys and files stay.
    """
    image = firmware.look(path, board)
    esptool = Esptool(board, port, baud)
    with show.step(f"reading the partition table of {port}"):
        raw = esptool.read(board.partition_table_offset, TABLE_SIZE)
    try:
        table = PartitionTable.from_binary(raw[:0xC00])
    except TableError:
        raise WrongFile(f"the board at {port} has no partition table: flash a full image first") from None
    firmware.check_layout(table, board.flash_size, f"the board at {port}")
    slot = table.ota_slots[0]
    firmware.check_app(image, slot.size)
    with show.step(f"erasing otadata, so that {slot.name} boots"):
        esptool.run("erase-region", hex(table.otadata.offset), hex(table.otadata.size))
    _write(esptool, slot.offset, path, len(image.data), show)


def _write(esptool: Esptool, offset: int, path: Path, size: int, show: Show) -> None:
    with show.step(f"writing {path} ({size} bytes at 0x{offset:x})") as progress:
        esptool.run("write-flash", hex(offset), path, progress=progress)
    with show.step("verifying what is in the flash"):
        esptool.run("verify-flash", hex(offset), path, after="hard-reset")
    if ports.lines_of(esptool.port) not in (None, esptool.port):
        lines.reset(esptool.port)  # a virtual board's pty has no reset line: its TCP port has
        time.sleep(0.5)
    show.say("flashed; the board runs it", port=esptool.port, bytes=size)
