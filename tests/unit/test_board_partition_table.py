"""Partition tables: the CSV and binary forms of ESP-IDF, and layouts that can be updated over the air."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fwchain import resources
from fwchain.board import boards
from fwchain.board.partition_table import PartitionTable, TableError

# The MD5 entries of the stock layouts, confirmed with another implementation of the format (mp-image-tool-esp32).
MD5 = {
    "virtual": "4564543e21204d6364b78630ca0b9b3d",
    "esp32": "4564543e21204d6364b78630ca0b9b3d",
    "esp32c3": "4564543e21204d6364b78630ca0b9b3d",
    "esp32s3": "927f8339184d3ca0b8240a20b106e35e",
}

# SHA-256 of what Espressif's own generator (ESP-IDF, components/partition_table/gen_esp32part.py) makes of each
# boards/NAME/partitions.csv, and of FANCY.
GENERATED = {
    "virtual": "6be7eea304c9a4afdccf3e50a9a37d9b73148c8da371972bab23367e7c479c6d",
    "esp32": "6be7eea304c9a4afdccf3e50a9a37d9b73148c8da371972bab23367e7c479c6d",
    "esp32c3": "6be7eea304c9a4afdccf3e50a9a37d9b73148c8da371972bab23367e7c479c6d",
    "esp32s3": "548ce66e79dbeec92db567b4bd1b79e84c12f78b393ed1cba3637239ceb34341",
    "fancy": "9b4f455ac12bdc1c97c27f096815b8210ce2c8bd4030eefa2eaf3fdfc51b7827",
}
FANCY = """# Name, Type, SubType, Offset, Size, Flags
nvs,      data, nvs,      ,        24K,
otadata,  data, ota,      ,        8K,
phy,      data, phy,      ,        0x1000,
factory,  app,  factory,  ,        1M,
ota_0,    app,  ota_0,    ,        512K, encrypted
ota_1,    app,  ota_1,    ,        512K, encrypted
keys,     data, nvs_keys, ,        0x1000, encrypted
dump,     data, coredump, ,        64K,
files,    data, 0x81,     ,        256K,
"""


def csv(name: str) -> str:
    return FANCY if name == "fancy" else (resources.folder("boards") / name / "partitions.csv").read_text()


@pytest.mark.parametrize("name", GENERATED)
def test_binary_is_byte_for_byte_espressifs(name: str) -> None:
    binary = PartitionTable.from_csv(csv(name)).to_binary()
    assert hashlib.sha256(binary).hexdigest() == GENERATED[name]


@pytest.mark.skipif("IDF_PATH" not in os.environ, reason="ESP-IDF is not installed here")
@pytest.mark.parametrize("name", GENERATED)
def test_espressifs_generator_makes_the_same(name: str, tmp_path: Path) -> None:
    """Where ESP-IDF is installed its generator is asked itself, both ways."""
    tool = Path(os.environ["IDF_PATH"], "components", "partition_table", "gen_esp32part.py")
    (tmp_path / "table.csv").write_text(csv(name))
    command = [sys.executable, str(tool), "--flash-size", "8MB"]
    subprocess.run([*command, str(tmp_path / "table.csv"), str(tmp_path / "table.bin")], check=True)
    table = PartitionTable.from_csv(csv(name))
    assert (tmp_path / "table.bin").read_bytes() == table.to_binary()
    (tmp_path / "ours.bin").write_bytes(table.to_binary())
    subprocess.run([*command, str(tmp_path / "ours.bin"), str(tmp_path / "back.csv")], check=True)
    assert PartitionTable.from_csv((tmp_path / "back.csv").read_text()) == table


@pytest.mark.parametrize("name", MD5)
def test_every_board_has_the_stock_ota_layout(name: str) -> None:
    board = boards.load(name)
    binary = board.table.to_binary()
    assert len(binary) == 0xC00
    assert binary[6 * 32 : 6 * 32 + 16] == b"\xeb\xeb" + b"\xff" * 14
    assert binary[6 * 32 + 16 : 7 * 32].hex() == MD5[name]
    assert binary[7 * 32 :] == b"\xff" * (0xC00 - 7 * 32)
    assert PartitionTable.from_binary(binary) == board.table
    assert PartitionTable.from_csv(board.table.to_csv()) == board.table
    assert [p.name for p in board.table] == ["nvs", "otadata", "phy_init", "ota_0", "ota_1", "vfs"]


def test_first_entry_byte_for_byte() -> None:
    entry = boards.load("esp32").table.to_binary()[:32]
    assert entry == bytes.fromhex("aa50 01 02 00900000 00400000") + b"nvs".ljust(16, b"\0") + bytes(4)


def test_offsets_may_be_left_out() -> None:
    table = PartitionTable.from_csv(
        "# Name, Type, SubType, Offset, Size, Flags\nnvs, data, nvs, , 0x4000\notadata,data,ota,,8K,\n"
        "phy_init,data,phy,,4k\nota_0,app,ota_0,,1M, encrypted\nota_1,app,ota_1,,1M\nx,data,0x40,,4096\n"
    )
    assert [p.offset for p in table] == [0x9000, 0xD000, 0xF000, 0x10000, 0x110000, 0x210000]
    assert table["ota_0"].encrypted and not table["ota_1"].encrypted
    assert table["x"].kind == "data/0x40"


BAD = {
    "nvs,data,nvs,0x8000,0x4000": "overlaps",
    "nvs,data,nvs,0x9000,0x4000\nb,data,phy,0xa000,0x1000": "overlaps",
    "nvs,data,nvs,0x9000,0x4000\nnvs,data,phy,,0x1000": "twice",
    "app,app,ota_0,0x11000,0x10000": "not aligned",
    "a,nothing,nvs,0x9000,0x1000": "type 'nothing'",
    "a,data,nothing,0x9000,0x1000": "subtype 'nothing'",
    "a,data,nvs,0x9000,": "size is empty",
    "a,data,nvs,0x9000,12Q": "line 1",
    "a,data,nvs,0x9000,0x1000,odd": "unknown flag",
    "a,data,ota,0x9000,0x1000": "must have 0x2000",
    "aaaaaaaaaaaaaaaaa,data,nvs,0x9000,0x1000": "longer than 16",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_tables_are_named(text: str) -> None:
    with pytest.raises(TableError, match=BAD[text]):
        PartitionTable.from_csv(text)


def test_binary_is_checked() -> None:
    binary = bytearray(boards.load("virtual").table.to_binary())
    binary[40] ^= 1
    with pytest.raises(TableError, match="MD5"):
        PartitionTable.from_binary(bytes(binary))
    with pytest.raises(TableError, match="magic"):
        PartitionTable.from_binary(b"\x00" * 0xC00)
    with pytest.raises(TableError, match="no entry"):
        PartitionTable.from_binary(b"\xff" * 0xC00)


NO_OTA = {
    "nvs,data,nvs,0x9000,0x6000\nphy_init,data,phy,,0x1000\nfactory,app,factory,,0x1F0000": "OTA slot",
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,,0x2000\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,2M": "differ",
    "nvs,data,nvs,0x9000,0x4000\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M": "otadata",
    "otadata,data,ota,0x9000,0x2000\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M": "nvs",
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,,0x2000\nota_0,app,ota_0,,2M\nota_1,app,ota_1,,2M": "flash has",
}


@pytest.mark.parametrize("text", NO_OTA)
def test_layouts_that_cannot_be_updated(text: str) -> None:
    with pytest.raises(TableError, match=NO_OTA[text]):
        PartitionTable.from_csv(text).check_ota(4 * 1024 * 1024)


def test_what_is_left_over_is_vfs() -> None:
    table = PartitionTable.from_csv("nvs,data,nvs,0x9000,0x4000\nota_0,app,ota_0,0x10000,1M\n")
    flash = b"\xff" * 0x8000 + table.to_binary()
    read = PartitionTable.from_flash(flash, 0x400000)
    assert (read["vfs"].offset, read["vfs"].size) == (0x110000, 0x2F0000)


def test_no_such_board() -> None:
    with pytest.raises(boards.BoardError, match="there are: esp32"):
        boards.load("esp8266")
