"""Firmware images for the virtual board: valid for Espressif's tools, reproducible, refused when damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fwchain.board import image as build
from fwchain.board.image import ImageError, build_image
from fwchain.board.runtime.vb import appimage

FILES = {"main.py": b"import lib.x\n", "lib/x.py": b"print(1)\n", "filler.bin": build.filler("seed", 100_000)}


def test_esptool_accepts_it(tmp_path: Path) -> None:
    built = build_image("thermometer", "1.2.3", FILES, tmp_path / "firmware.bin")
    assert (tmp_path / "firmware.bin").read_bytes() == built
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "image-info", str(tmp_path / "firmware.bin")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Detected image type: ESP32" in done.stdout
    for line in ("Checksum: 0x", "Validation hash: "):
        assert next(text for text in done.stdout.splitlines() if line in text).endswith("(valid)")
    assert "Project name: thermometer" in done.stdout
    assert "App version: 1.2.3" in done.stdout


def test_the_same_input_gives_the_same_bytes() -> None:
    build.compile_py.cache_clear()
    first = build_image("model", "1.0.0", FILES)
    build.compile_py.cache_clear()
    assert build_image("model", "1.0.0", dict(reversed(FILES.items()))) == first
    assert build_image("model", "1.0.1", FILES) != first
    assert build.filler("seed", 50) == build.filler("seed", 100)[:50]


def test_what_lies_where() -> None:
    built = build_image("model", "1.0.0", FILES)
    assert built[0] == 0xE9 and built[build.ROMFS_OFFSET :][:3] == b"\xd2\xcd\x31"
    assert build.describe(built) == ("1.0.0", "model")
    assert appimage.length(built, 0, len(built)) == len(built)
    assert appimage.verify(built + b"\xff" * 5000, 0, len(built) + 5000) == len(built)
    at, length = appimage.romfs(built, 0, len(built))
    assert at == build.ROMFS_OFFSET and at + length <= len(built)


@pytest.mark.parametrize(
    "arguments,message",
    [
        (("", "1.0.0", {}), "model '' has 0 bytes"),
        (("m", "1" * 32, {}), "version '1{32}' has 32 bytes, allowed are 1 to 31"),
        (("m", "1", {"main.py": b"def ("}), "^main.py, line 1: SyntaxError: invalid syntax$"),
        (("m", "1", {"a": b"", "a/b": b""}), "a file and a folder"),
        (("m", "1", {"filler": bytes(0x180000)}), "image has .* bytes, the slot 1572864"),
    ],
)
def test_what_cannot_be_built(arguments: tuple[str, str, dict[str, bytes]], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        build_image(*arguments)


@pytest.mark.parametrize("damage", [b"", b"\xe9", b"\x00" * 500, b"\xff" * 500, b"\xe9\x10" + b"\xff" * 500])
def test_what_is_no_image(damage: bytes) -> None:
    with pytest.raises(ImageError, match="no application image"):
        build.describe(damage)


def test_cut_off_image() -> None:
    built = build_image("model", "1.0.0", FILES)
    for length in (len(built) - 1, len(built) // 2, 100, 20):
        with pytest.raises(ImageError):
            build.describe(built[:length])
