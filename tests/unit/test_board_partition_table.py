"""Partition tables: the CSV and binary forms of ESP-IDF, and layouts that can be updated over the air."""

from __future__ import annotations

import pytest

from fwchain.board import boards
from fwchain.board.partition_table import PartitionTable, TableError

# The MD5 entries of the stock layouts, confirmed with another implementation of the format (mp-image-tool-esp32).
MD5 = {
    "virtual": "4564543e21204d6364b78630ca0b9b3d",
    "esp32": "4564543e21204d6364b78630ca0b9b3d",
    "esp32c3": "4564543e21204d6364b78630ca0b9b3d",
    "esp32s3": "927f8339184d3ca0b8240a20b106e35e",
}


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
