"""The released esptool, unpatched, against the virtual board's ROM loader and stub."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serial_support import MAC, bench, esptool

CHIPS = ("esp32", "esp32s3", "esp32c3")
TITLES = {"esp32": "ESP32-D0WD-V3", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3"}


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, with SLIP's own bytes among them."""
    return random.Random(seed).randbytes(size - 4) + b"\xc0\xdb\xdc\xdd"


@pytest.mark.parametrize("name", CHIPS)
def test_identity(name: str) -> None:
    with bench(name, 8 << 20) as board:
        out = esptool(board.port.pty_path, "flash-id")
        assert TITLES[name] in out
        assert "Detected flash size: 8MB" in out
        assert "Crystal frequency:  40MHz" in out
        mac = ":".join(f"{byte:02x}" for byte in MAC)
        assert mac in esptool(board.port.pty_path, "--no-stub", "read-mac")
        assert mac in esptool(board.port.pty_path, "chip-id")


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("options", [(), ("--no-stub",)], ids=["stub", "rom"])
@pytest.mark.parametrize("kind", ["compressed", "uncompressed"])
def test_write_and_verify(name: str, options: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    image = noise(40_000) + bytes(30_001) if kind == "compressed" else noise(50_003)
    file = tmp_path / "image.bin"
    file.write_bytes(image)
    with bench(name) as board:
        board.flash.data[0x10000:0x30000] = bytes(0x20000)  # NOR: must be erased first
        extra = () if kind == "compressed" else ("--no-compress",)
        out = esptool(board.port.pty_path, *options, "write-flash", *extra, "0x10000", file, timeout=120)
        assert "Hash of data verified." in out
        assert board.flash.read(0x10000, len(image)) == image
        assert "Verification successful" in esptool(board.port.pty_path, *options, "verify-flash", "0x10000", file)


@pytest.mark.parametrize("name", CHIPS)
def test_read_flash_gives_what_is_there(name: str, tmp_path: Path) -> None:
    with bench(name) as board:
        board.flash.data[:] = noise(board.flash.size, 3)
        out = tmp_path / "read.bin"
        esptool(board.port.pty_path, "read-flash", "0x1000", "0x80000", out)
        assert out.read_bytes() == board.flash.read(0x1000, 0x80000)
        esptool(board.port.pty_path, "--no-stub", "read-flash", "0x2000", "700", out)
        assert out.read_bytes() == board.flash.read(0x2000, 700)


@pytest.mark.parametrize("name", CHIPS)
def test_erase(name: str) -> None:
    with bench(name) as board:
        board.flash.data[:] = bytes(board.flash.size)
        esptool(board.port.pty_path, "erase-region", "0x3000", "0x2000")
        assert board.flash.read(0x2000, 0x4000) == bytes(4096) + b"\xff" * 8192 + bytes(4096)
        esptool(board.port.pty_path, "--no-stub", "erase-region", "0x8000", "0x1000")
        assert board.flash.read(0x7000, 0x3000) == bytes(4096) + b"\xff" * 4096 + bytes(4096)
        esptool(board.port.pty_path, "erase-flash")
        assert board.flash.data == b"\xff" * board.flash.size


def test_verify_finds_a_flipped_bit(tmp_path: Path) -> None:
    image = noise(9000)
    file = tmp_path / "image.bin"
    file.write_bytes(image)
    with bench() as board:
        board.flash.data[0x4000 : 0x4000 + len(image)] = image
        board.flash.data[0x5000] ^= 1
        out = esptool(board.port.pty_path, "verify-flash", "0x4000", file, check=False)
        assert "Verification failed" in out


def test_image_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "image.bin"
    file.write_bytes(bytes(1 << 20))
    with bench(size=1 << 20) as board:
        out = esptool(board.port.pty_path, "write-flash", "0x10000", file, check=False)
        assert "will not fit" in out


def test_wrong_chip_is_told() -> None:
    with bench("esp32c3") as board:
        out = esptool(board.port.pty_path, "--chip", "esp32", "read-mac", check=False)
        assert "This chip is ESP32-C3, not ESP32" in out


def test_write_over_plain_tcp(tmp_path: Path) -> None:
    file = tmp_path / "image.bin"
    file.write_bytes(noise(60_000))
    with bench() as board:
        out = esptool(board.port.urls[2], "write-flash", "0x10000", file)
        assert "Hash of data verified." in out
        assert board.flash.read(0x10000, 60_000) == file.read_bytes()


def test_closing_the_pty_ends_download_mode() -> None:
    """A pty has no reset line, so that the port's closing must do."""
    with bench() as board:
        esptool(board.port.pty_path, "read-mac")
        assert board.wait_for([True, False])
        assert not board.port.download


def test_stub_survives_between_two_commands() -> None:
    with bench("esp32c3") as board:
        esptool(board.port.pty_path, "--after", "no-reset-stub", "flash-id")
        out = esptool(board.port.pty_path, "--before", "no-reset", "flash-id")
        assert "already running" in out


def test_rfc2217_reset_lines() -> None:
    """DTR and RTS alone bring each chip into download mode and out of it again (in parallel: it is
    slow).
    """

    def identify(name: str) -> str:
        with bench(name) as board:
            out = esptool(board.port.urls[1], "flash-id", timeout=120)
            assert board.wait_for([True, False])
            return out

    with ThreadPoolExecutor() as pool:
        for name, out in zip(CHIPS, pool.map(identify, CHIPS), strict=True):
            assert TITLES[name] in out
            assert "Hard resetting via RTS pin" in out


def test_rfc2217_without_reset_finds_no_loader() -> None:
    """Where there are lines, a SYNC frame alone is no reset: the tool says what is wrong."""
    with bench() as board:
        out = esptool(
            board.port.urls[1],
            "--before",
            "no-reset",
            "--connect-attempts",
            "1",
            "read-mac",
            check=False,
        )
        assert "Failed to connect" in out
        assert board.resets == []
