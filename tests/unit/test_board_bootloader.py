"""The boot loader's choices, one test for each of ESP-IDF's rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwchain.board import boards
from fwchain.board.bootloader import Boot, BootLoader, NoBootableApp
from fwchain.board.flash import Flash
from fwchain.board.image import build_image
from fwchain.board.partition_table import PartitionTable, TableError
from fwchain.board.runtime.vb import otadata as ota

IMAGES = {
    version: build_image("model", version, {"main.py": b"print(%d)" % i})
    for i, version in enumerate(("1.0.0", "1.1.0"))
}
OTADATA = 0xD000


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Flash]:
    """An erased flash with the stock OTA layout and an image in each slot."""
    with Flash.create(tmp_path / "flash.bin") as flash:
        flash.program(0x8000, boards.load("virtual").table.to_binary())
        flash.program(0x10000, IMAGES["1.0.0"])
        flash.program(0x190000, IMAGES["1.1.0"])
        yield flash


def boot(flash: Flash) -> Boot:
    """Run the boot loader; its log is kept in boot.log."""
    lines: list[str] = []
    boot.log = lines  # type: ignore[attr-defined]
    return BootLoader(flash.nor, lines.append).run()


def log() -> str:
    """What the last boot printed."""
    return "".join(boot.log)  # type: ignore[attr-defined]


def entry(flash: Flash, index: int, seq: int, state: int, crc: int | None = None) -> None:
    """Write an otadata entry as it is, with a wrong CRC when asked."""
    packed = bytearray(ota.pack(seq, state))
    if crc is not None:
        packed[28:32] = crc.to_bytes(4, "little")
    flash.write(OTADATA + index * 4096, packed)


def states(flash: Flash) -> list[tuple[int, int]]:
    """(sequence, state) of both entries."""
    return [(e[0], e[1]) for e in ota.read(flash.nor, OTADATA)]


def test_crc_is_esp_idfs() -> None:
    assert ota.seq_crc(1) == 0x4743989A  # as in every ota_data_initial of a first update
    assert ota.pack(1, ota.VALID).hex() == "01000000" + "ff" * 20 + "02000000" + "9a984347"


def test_erased_otadata_boots_ota_0_and_is_written_valid(flash: Flash) -> None:
    assert boot(flash).slot == 0
    assert "No factory image, trying OTA 0" in log()
    assert "Set actual ota_seq=1 in otadata[0]" in log()
    assert states(flash)[0] == (1, ota.VALID)
    assert boot(flash).slot == 0


def test_log_looks_like_a_real_one(flash: Flash) -> None:
    boot(flash)
    assert "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)" in log()
    assert "boot:  3 ota_0            OTA app          00 10 00010000 00180000" in log()
    assert "boot: Loaded app from partition at offset 0x10000" in log()


@pytest.mark.parametrize(("chip_id", "name"), [(0, "esp32"), (5, "esp32c3"), (9, "esp32s3")])
def test_log_names_the_chip(flash: Flash, chip_id: int, name: str) -> None:
    lines: list[str] = []
    with contextlib.suppress(NoBootableApp):
        BootLoader(flash.nor, lines.append, chip_id).run()
    assert f"boot.{name}: SPI Flash Size : 4MB" in "".join(lines)


def test_higher_sequence_wins(flash: Flash) -> None:
    entry(flash, 0, 5, ota.VALID)
    entry(flash, 1, 6, ota.VALID)
    assert boot(flash).slot == 1
    entry(flash, 0, 7, ota.VALID)
    assert boot(flash).slot == 0


def test_new_becomes_pending_then_aborted(flash: Flash) -> None:
    entry(flash, 0, 1, ota.VALID)
    entry(flash, 1, 2, ota.NEW)
    assert boot(flash).slot == 1
    assert states(flash) == [(1, ota.VALID), (2, ota.PENDING_VERIFY)]
    assert boot(flash).slot == 0
    assert states(flash) == [(1, ota.VALID), (2, ota.ABORTED)]
    assert boot(flash).slot == 0


def test_confirmed_stays(flash: Flash) -> None:
    entry(flash, 0, 1, ota.VALID)
    entry(flash, 1, 2, ota.NEW)
    boot(flash)
    assert ota.confirm(flash.nor, OTADATA)
    assert boot(flash).slot == 1
    assert states(flash)[1] == (2, ota.VALID)


def test_undefined_state_boots_and_is_left_alone(flash: Flash) -> None:
    entry(flash, 0, 2, ota.UNDEFINED)
    assert boot(flash).slot == 1
    assert states(flash)[0] == (2, ota.UNDEFINED)


def test_invalid_entry_is_not_chosen(flash: Flash) -> None:
    entry(flash, 0, 1, ota.VALID)
    entry(flash, 1, 2, ota.INVALID)
    assert boot(flash).slot == 0


def test_wrong_crc_is_not_chosen(flash: Flash) -> None:
    entry(flash, 0, 1, ota.VALID)
    entry(flash, 1, 2, ota.VALID, crc=0x12345678)
    assert boot(flash).slot == 0


def test_both_otadata_sectors_damaged(flash: Flash) -> None:
    entry(flash, 0, 1, ota.VALID, crc=1)
    entry(flash, 1, 2, ota.VALID, crc=2)
    assert boot(flash).slot == 0
    assert "ota data partition invalid" in log()


def test_both_otadata_sectors_half_erased(flash: Flash) -> None:
    flash.program(OTADATA, b"\x00\x01\x02\x03" * 8)
    flash.program(OTADATA + 4096, b"\x07" * 32)
    assert boot(flash).slot == 0


def test_both_aborted_boots_ota_0_and_keeps_otadata(flash: Flash) -> None:
    entry(flash, 0, 1, ota.ABORTED)
    entry(flash, 1, 2, ota.ABORTED)
    assert boot(flash).slot == 0
    assert states(flash) == [(1, ota.ABORTED), (2, ota.ABORTED)]


def test_damaged_slot_falls_back_to_the_other(flash: Flash) -> None:
    entry(flash, 0, 2, ota.VALID)
    flash.flip(0x190000 + 0x130)
    assert boot(flash).slot == 0
    assert "OTA app partition slot 1 is not bootable" in log()
    entry(flash, 0, 1, ota.VALID)
    flash.flip(0x190000 + 0x130)
    flash.flip(0x10000 + 0x130)
    assert boot(flash).slot == 1


def test_both_slots_damaged(flash: Flash) -> None:
    entry(flash, 0, 1, ota.VALID)
    flash.erase(0x10000)
    flash.erase(0x190000)
    with pytest.raises(NoBootableApp):
        boot(flash)
    assert "No bootable app partitions in the partition table" in log()


@pytest.mark.parametrize("seq,slot", [(0xFFFFFFFD, 0), (0xFFFFFFFE, 1)])
def test_highest_sequences(flash: Flash, seq: int, slot: int) -> None:
    entry(flash, 0, seq, ota.VALID)
    assert boot(flash).slot == slot


def test_sequence_that_wraps_keeps_the_old_slot(flash: Flash) -> None:
    # After 2^32 - 2 the next number means "never written": ESP-IDF goes on booting what ran.
    entry(flash, 0, 0xFFFFFFFE, ota.VALID)
    ota.choose(flash.nor, OTADATA, 0, 2)
    assert states(flash)[1][0] == ota.UNSET
    assert boot(flash).slot == 1


@pytest.mark.parametrize("seq", range(1, 9))
@pytest.mark.parametrize("slot", [0, 1])
def test_choose_keeps_the_running_entry(flash: Flash, seq: int, slot: int) -> None:
    entry(flash, 0, seq, ota.VALID)
    ota.choose(flash.nor, OTADATA, slot, 2)
    kept, new = states(flash)
    assert kept == (seq, ota.VALID)
    assert new[0] >= seq and (new[0] - 1) % 2 == slot and new[1] == ota.NEW


def test_factory_absent_and_present(flash: Flash, tmp_path: Path) -> None:
    text = (
        "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n"
        "factory,app,factory,0x10000,0x100000\nota_0,app,ota_0,0x110000,0x80000\n"
        "ota_1,app,ota_1,0x190000,0x180000\n"
    )
    flash.write(0x8000, PartitionTable.from_csv(text).to_binary())
    assert boot(flash).slot == -1
    assert "Defaulting to factory image" in log()
    entry(flash, 0, 2, ota.NEW)
    assert boot(flash).slot == 1
    assert boot(flash).slot == -1
    flash.erase(0x10000)
    assert boot(flash).slot == 1  # works forwards at last, over the empty ota_0


def test_image_that_outgrows_its_slot(flash: Flash) -> None:
    text = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n"
    small = text + "ota_0,app,ota_0,0x10000,0x1000\nota_1,app,ota_1,0x190000,0x180000\n"
    image = build_image("model", "9", {"main.py": b"", "filler": bytes(range(256)) * 32})
    flash.write(0x10000, image)
    flash.write(0x8000, PartitionTable.from_csv(small).to_binary())
    assert boot(flash).slot == 1
    assert "doesn't fit in partition length 4096" in log()


def test_wrong_chip(flash: Flash) -> None:
    flash.mem[0x10000 + 12] = 9
    assert boot(flash).slot == 1
    assert "mismatch chip ID, expected 0, found 9" in log()


@pytest.mark.parametrize("offset", [0, 1, 23, 0x1C, 0x40, 0x120])
def test_every_part_of_the_image_is_checked(flash: Flash, offset: int) -> None:
    flash.flip(0x10000 + offset, 0x40)
    assert boot(flash).slot == 1


def test_last_byte_of_the_digest_is_checked(flash: Flash) -> None:
    flash.flip(0x10000 + len(IMAGES["1.0.0"]) - 1)
    assert boot(flash).slot == 1
    assert "Image hash failed - image is corrupt" in log()


def test_no_partition_table(flash: Flash) -> None:
    flash.erase(0x8000)
    with pytest.raises(TableError):
        boot(flash)


def test_damaged_partition_table(flash: Flash) -> None:
    flash.flip(0x8000 + 5)
    with pytest.raises(TableError, match="MD5"):
        boot(flash)
