"""The folders in boards/: what fwchain knows of each kind of board."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from fwchain import resources
from fwchain.board.partition_table import PartitionTable
from fwchain.errors import SetupError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class BoardError(SetupError):
    """A board's folder is missing or says something wrong."""


@dataclass(frozen=True)
class Board:
    """One kind of board; sizes and offsets in bytes."""

    folder: Path
    name: str
    description: str
    platform: str
    chip: str
    chip_id: int
    flash_size: int
    flash_mode: str
    flash_freq: str
    bootloader_offset: int
    partition_table_offset: int
    heap: int
    mac_prefix: bytes
    capabilities: tuple[str, ...]
    table: PartitionTable


def folder() -> Path:
    """Where the boards' folders lie; raises SetupError when the installation lacks them."""
    return resources.folder("boards")


def names() -> list[str]:
    """Kinds of board that there are."""
    return sorted(p.parent.name for p in folder().glob("*/board.toml"))


def load(name: str) -> Board:
    """Read boards/NAME; raises BoardError naming what is there, or the field that is wrong."""
    place = folder() / name
    path = place / "board.toml"
    if not path.is_file():
        raise BoardError(f"no board {name!r}; there are: {', '.join(names())}")
    try:
        data = tomllib.loads(path.read_text())
        table = PartitionTable.from_file(place / data["partitions"])
        board = Board(
            folder=place,
            name=data["name"],
            description=data["description"],
            platform=data["platform"],
            chip=data["chip"],
            chip_id=data["chip_id"],
            flash_size=_size(data["flash_size"]),
            flash_mode=data["flash_mode"],
            flash_freq=data["flash_freq"],
            bootloader_offset=data["bootloader_offset"],
            partition_table_offset=data["partition_table_offset"],
            heap=data["heap"],
            mac_prefix=bytes.fromhex(data["mac"].replace(":", "")),
            capabilities=tuple(data["capabilities"]),
            table=table,
        )
    except (KeyError, ValueError, OSError) as error:
        raise BoardError(f"{path}: {error!r}") from error
    table.check_ota(board.flash_size)
    return board


def _size(text: str) -> int:
    if not text.endswith("MB"):
        raise ValueError(f"flash_size {text!r} is not like 4MB")
    return int(text[:-2]) * 1024 * 1024
