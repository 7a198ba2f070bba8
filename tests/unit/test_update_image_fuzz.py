"""The image parser on damaged and random input: an ImageError or a length within the limit, nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))

import fake_esp32
from fwnode.update import ImageError
from fwnode.update.image import check_first, measure
from fwnode.update.imagecheck import check_steps
from support import run

GOOD = bytes(fake_esp32.app_image(bytes(range(256)) * 3, segments=1))


def try_all(data: bytes) -> None:
    """Parse and check `data`; reading past its end fails the test."""

    def readinto(offset: int, buf: memoryview) -> None:
        assert offset >= 0
        assert offset + len(buf) <= len(data)
        buf[:] = data[offset : offset + len(buf)]

    try:
        check_first(data)
    except ImageError:
        pass
    try:
        image = measure(readinto, len(data))
    except ImageError:
        return
    assert 288 <= image.length <= len(data)
    assert fake_esp32.boots(data) == passes(readinto, image)


def passes(readinto, image) -> bool:  # type: ignore[no-untyped-def]
    """Whether checksum and digest are right."""
    try:
        run(check_steps(readinto, image))
    except ImageError:
        return False
    return True


def test_the_seed_is_good() -> None:
    assert fake_esp32.boots(GOOD)
    try_all(GOOD)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4), st.integers(0, 60))
def test_damaged_header(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    try_all(bytes(data[: len(data) - cut]))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 7))
def test_one_flipped_bit(at: int, bit: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= 1 << bit
    try_all(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=700))
def test_random_bytes(data: bytes) -> None:
    try_all(data)
    try_all(GOOD[:32] + data)
