"""A second valid image out of a first one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fwchain.board import image
from fwchain.flashing.errors import WrongFile
from fwchain.flashing.respin import respin


@pytest.fixture(scope="module")
def first() -> bytes:
    return image.build_image("thermometer", "1.0.0", {"main.py": b"print(1)\n"})


def test_only_version_checksum_and_digest_change(first: bytes) -> None:
    second = respin(first + b"\xff" * 5000, "1.0.1")
    assert len(second) == len(first)
    assert image.describe(second) == ("1.0.1", "thermometer")
    different = [at for at, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    assert all(48 <= at < 80 or at >= len(first) - 33 for at in different)
    assert respin(second, "1.0.0") == first


def test_esptool_accepts_it(first: bytes, tmp_path: Path) -> None:
    path = tmp_path / "second.bin"
    path.write_bytes(respin(first, "9.8.7"))
    out = subprocess.run(
        [sys.executable, "-m", "esptool", "image-info", str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert "9.8.7" in out
    assert out.count("(valid)") == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"\x00" + data[1:], "no ESP application image"),
        (lambda data: data[:32] + bytes(4) + data[36:], "no application description"),
        (lambda data: data[:-40], "cut short"),
        (lambda data: data[:-8], "cut short"),
        (lambda data: b"", "no ESP application image"),
    ],
)
def test_what_is_no_image_is_refused(first: bytes, change, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WrongFile, match=words):
        respin(change(first), "1.0.1")


def test_version_too_long(first: bytes) -> None:
    with pytest.raises(WrongFile, match="allowed are 1 to 31"):
        respin(first, "1" * 32)
