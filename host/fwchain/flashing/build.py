"""`fwchain board firmware`: a virtual board's firmware here, a real board's by ESP-IDF where that
is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from fwchain import resources
from fwchain.board import image
from fwchain.board.boards import Board
from fwchain.errors import SetupError
from fwchain.flashing.errors import FlashingError
from fwchain.flashing.show import Show
from fwchain.vendor import firmware as vendor

MICROPYTHON_BOARDS = {
    "esp32": ("ESP32_GENERIC", "OTA"),
    "esp32s3": ("ESP32_GENERIC_S3", ""),
    "esp32c3": ("ESP32_GENERIC_C3", ""),
}
EXAMPLE = "thermometer"


def build_virtual(
    board: Board, folder: Path, model: str, version: str, show: Show, source: Path | None = None
) -> list[Path]:
    """Build FOLDER/MODEL-VERSION.app.bin (a slot's image) and .full.bin (a whole flash's).

    `source` is a maker's folder with app.py; by default the example application.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with show.step(f"building {model} {version} for a virtual board"):
        app = vendor.build(source or resources.folder("examples") / EXAMPLE, model, version)
        full = full_image(board, app)
    paths = [folder / f"{model}-{version}.app.bin", folder / f"{model}-{version}.full.bin"]
    for path, data in zip(paths, (app, full), strict=True):
        path.write_bytes(data)
        show.say(f"{path} ({len(data)} bytes)", file=str(path), bytes=len(data))
    return paths


def full_image(board: Board, app: bytes) -> bytes:
    """A flash from the boot loader's offset to the end of the first slot's image.

    A virtual board's boot loader is part of the board, as a ROM is; in its place lies a valid
    image that only says so, and that stops a real chip at its entry point.
    """
    base = board.bootloader_offset
    parts = {
        base: image._esp_image(b"fwchain virtual board: its boot loader is not in its flash\0".ljust(64, b"\0")),
        board.partition_table_offset: board.table.to_binary(),
        board.table.ota_slots[0].offset: app,
    }
    out = bytearray()
    for offset, data in sorted(parts.items()):
        out += b"\xff" * (offset - base - len(out)) + data
    return bytes(out)


def missing() -> list[str]:
    """What building for a real chip lacks on this machine, one sentence each."""
    lacks = []
    if not os.environ.get("IDF_PATH") or shutil.which("idf.py") is None:
        lacks.append(
            "ESP-IDF v5.2 or later: install it (docs.espressif.com, Get Started), then "
            "`. $IDF_PATH/export.sh` in this shell"
        )
    source = os.environ.get("MICROPYTHON_SOURCE", "")
    if not (Path(source) / "ports" / "esp32").is_dir() or not source:
        lacks.append(
            "MicroPython's source, v1.25 or later, with its submodules: give its folder as MICROPYTHON_SOURCE=…"
        )
    for program in ("make", "cmake"):
        if shutil.which(program) is None:
            lacks.append(f"the program {program}")
    return lacks


def build_real(board: Board, folder: Path, show: Show) -> Path:
    """Build MicroPython with fwnode frozen (device/manifest.py); SetupError says what is
    missing.
    """
    lacks = missing()
    if lacks:
        raise SetupError(f"building for {board.name} needs:\n  " + "\n  ".join(lacks))
    port = Path(os.environ["MICROPYTHON_SOURCE"]) / "ports" / "esp32"
    name, variant = MICROPYTHON_BOARDS[board.chip]
    out = folder.resolve() / f"micropython-{board.name}"
    command = [
        "make",
        "-C",
        str(port),
        f"BOARD={name}",
        f"BUILD={out}",
        f"FROZEN_MANIFEST={resources.device_file('manifest.py')}",
    ]
    command += [f"BOARD_VARIANT={variant}"] if variant else []
    with show.step(f"building MicroPython for {name} (some minutes)"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise FlashingError(f"the build of MicroPython failed: {last[0] if last else 'no message'}")
    show.say(f"{out / 'firmware.bin'}", file=str(out / "firmware.bin"))
    return out / "firmware.bin"
