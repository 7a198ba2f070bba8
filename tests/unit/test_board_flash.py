"""NOR rules, counters and power cuts of the flash."""

from __future__ import annotations

import subprocess
import sys
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


LOOPS = """
import random, sys
sys.path.insert(0, {folder!r})
from vb import fast, plain
random.seed(5)
size = 2 * 4096
for turn in range(300):
    one = bytearray(random.getrandbits(8) | random.getrandbits(8) for _ in range(size))
    two = bytearray(one)
    at, n = 4 * random.randrange(size // 8), 4 * random.randrange(size // 8)
    data = memoryview(bytearray(random.getrandbits(8) | two[at + i] for i in range(n + 8)))
    start = 4 * random.randrange(2)
    if turn % 3:
        data = bytes(two[at - start : at + n]) if at >= start else bytes(n + start)
    assert fast.clear_pages(one, at, data, start, n) == plain.clear_pages(two, at, data, start, n)
    assert one == two
    for loops, mem in ((fast, one), (plain, two)):
        loops.blank(mem, at, n)
        loops.add(mem, 8, 77)
    assert one == two
    odd = random.randrange(size - 300)
    into, other = bytearray(random.randrange(300)), bytearray(300)
    fast.copy(into, one, odd, len(into))
    assert into == one[odd : odd + len(into)]
print("same")
"""


def test_native_loops_do_what_the_plain_ones_do() -> None:
    """Where MicroPython has native code the flash uses `fast`; elsewhere `plain`."""
    folder = str(Path(nor.__file__).parents[1])
    command = [
        str(Path(sys.executable).with_name("micropython")),
        "-X",
        "heapsize=1m",
        "-c",
        LOOPS.format(folder=folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "syntax" in done.stdout and "native" in done.stdout:
        pytest.skip("this MicroPython has no native code")
    assert done.stdout.strip() == "same", done.stdout + done.stderr


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(some.tuples(some.integers(0, 1000), some.binary(min_size=1, max_size=6000)), max_size=4))
def test_whole_sectors_count_as_their_pages_do(tmp_path: Path, writes: list[tuple[int, bytes]]) -> None:
    """With a power cut armed that never comes every page is an operation of its own; the result is the same without."""
    seen = []
    for number, armed in enumerate((False, True)):
        with Flash.create(tmp_path / f"{number}.bin", SIZE) as flash:
            if armed:
                flash.cut_at(100_000, 0)
            for place, data in writes:
                flash.program(place * 4, data * (4 if len(data) % 4 else 1))
            flash.erase(SECTOR, 2 * SECTOR)
            flash.program(SECTOR + 4, b"\x0f" * 4000)
            seen.append((flash.read(0, SIZE), flash.operations, flash.violations, flash.wear()))
    assert seen[0] == seen[1]


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
