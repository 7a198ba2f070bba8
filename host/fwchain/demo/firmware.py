"""The firmware of the demo: the example application in several versions, one of them broken."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from fwchain import resources
from fwchain.board.image import filler

EXAMPLE = "thermometer"
FILLER = (
    1_330_000  # bytes; with fwnode and the application the image exceeds 1.4 MiB, and there is room for both to grow
)
AT_LEAST = int(1.4 * 1024 * 1024)
OUT_OF_RANGE = 400.0  # °C that the broken release's calibration adds: its self-test fails


def source(folder: Path, version: str, size: int = 0, broken: bool = False) -> Path:
    """Write the source folder of a version; `size` bytes of filler, made from the version alone. Returns the folder."""
    place = folder / version
    shutil.copytree(resources.folder("examples") / EXAMPLE, place)
    calibration = json.loads((place / "calibration.json").read_text())
    if size:
        content = filler(f"fwchain demo {version}", size)
        (place / "filler.bin").write_bytes(content)
        calibration["filler"] = hashlib.sha256(content).hexdigest()
    if broken:
        calibration["offset"] = OUT_OF_RANGE
    (place / "calibration.json").write_text(json.dumps(calibration))
    return place
