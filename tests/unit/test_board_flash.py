"""NOR rules, counters and power cuts of the flash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from fwchain.board.flash import SECTOR, Flash, FlashError, PowerCut
from fwchain.board.runtime.vb import flash as nor

SIZE = 8 * SECTOR


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Flash]:
    """An erased flash of eight sectors."""
    with Flash.create(tmp_path / "flash.bin", SIZE) as flash:
        yield flash


def test_new_flash_is_erased(flash: Flash) -> None:
    assert flash.read(0, SIZE) == b"\xff" * SIZE
    assert flash.operations == 0 and flash.violations == 0


def test_program_only_clears_bits(flash: Flash) -> None:
    flash.program(10, b"\xf0\x0f")
    flash.program(10, b"\x3c\xff")
    assert flash.read(9, 4) == b"\xff\x30\x0f\xff"
    assert flash.violations == 1


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(some.tuples(some.integers(0, SIZE - 700), some.binary(min_size=1, max_size=700)), max_size=6))
def test_any_programs_are_the_and_of_all(flash: Flash, writes: list[tuple[int, bytes]]) -> None:
    flash.erase_all()
    expected = bytearray(b"\xff" * SIZE)
    for offset, data in writes:
        flash.program(offset, data)
        for i, byte in enumerate(data):
            expected[offset + i] &= byte
    assert flash.read(0, SIZE) == expected


def test_erase_is_by_whole_sectors(flash: Flash) -> None:
    flash.program(0, bytes(3 * SECTOR))
    flash.erase(SECTOR)
    assert flash.read(0, 3 * SECTOR) == bytes(SECTOR) + b"\xff" * SECTOR + bytes(SECTOR)
    for offset, length in ((1, SECTOR), (0, 100), (SECTOR, SECTOR + 1)):
        with pytest.raises(FlashError, match="not by sectors"):
            flash.erase(offset, length)


@pytest.mark.parametrize("offset,length", [(SIZE - 1, 2), (-1, 1), (SIZE, 1)])
def test_outside_the_chip(flash: Flash, offset: int, length: int) -> None:
    for call in (lambda: flash.read(offset, length), lambda: flash.program(offset, bytes(length))):
        with pytest.raises(FlashError, match="chip has"):
            call()
    with pytest.raises(FlashError):
        flash.erase(SIZE, SECTOR)


def test_operations_are_pages_and_sectors(flash: Flash) -> None:
    flash.program(0, bytes(256))
    assert flash.operations == 1
    flash.program(255, bytes(2))  # crosses a page
    assert flash.operations == 3
    flash.program(512, bytes(1000))
    assert flash.operations == 3 + 4
    flash.erase(0, 2 * SECTOR)
    assert flash.operations == 3 + 4 + 2
    erases, programs = flash.wear()
    assert erases == [1, 1] + [0] * 6 and programs == [7] + [0] * 7


def test_counters_outlive_the_object(flash: Flash) -> None:
    flash.erase(0)
    with Flash(flash.path) as again:
        assert again.operations == 1 and again.wear()[0][0] == 1
        again.erase(0)
    assert flash.operations == 2


def test_two_maps_see_one_flash(flash: Flash) -> None:
    with Flash(flash.path) as again:
        again.program(0, b"\x12")
        assert flash.read(0, 1) == b"\x12"


EXPECTED = {  # phase: the sector after a cut erase, the page after a cut program
    "before": (b"\x5a" * SECTOR, b"\xff" * 256),
    "mid": (b"\xff" * 2048 + b"\x5a" * 2048, b"\x5a" * 128 + b"\xff" * 128),
    "bits": (b"\x5f" * SECTOR, b"\x5f" * 256),
    "after": (b"\xff" * SECTOR, b"\x5a" * 256),
}


@pytest.mark.parametrize("phase", nor.PHASES)
def test_power_cuts(flash: Flash, phase: str) -> None:
    number = nor.PHASES.index(phase)
    flash.program(0, b"\x5a" * SECTOR)
    flash.cut_at(1, number)
    with pytest.raises(PowerCut):
        flash.erase(0, 2 * SECTOR)
    assert flash.read(0, SECTOR) == EXPECTED[phase][0]
    flash.cut_at(2, number)
    with pytest.raises(PowerCut):
        flash.program(2 * SECTOR, b"\x5a" * 1024)
    assert flash.read(2 * SECTOR, 256) == b"\x5a" * 256
    assert flash.read(2 * SECTOR + 256, 256) == EXPECTED[phase][1]
    assert flash.read(2 * SECTOR + 512, 512) == b"\xff" * 512
    flash.program(4 * SECTOR, b"\x00")  # power is back
    assert flash.read(4 * SECTOR, 1) == b"\x00"


def test_a_power_cut_is_no_ordinary_exception(flash: Flash) -> None:
    assert not issubclass(PowerCut, Exception)


def test_flip_is_behind_the_chips_back(flash: Flash) -> None:
    flash.program(5, b"\x00")
    assert flash.flip(5) == 1
    assert flash.operations == 1


def test_no_flash(tmp_path: Path) -> None:
    (tmp_path / "flash.bin").write_bytes(b"x" * 5000)
    with pytest.raises(FlashError, match="not whole sectors"):
        Flash(tmp_path / "flash.bin")
    with pytest.raises(FlashError):
        Flash.create(tmp_path / "other", 1000)
