"""From a maker's source folder to the application image of the virtual platform.

The folder holds `app.py` (the hooks: fwnode.app) and whatever the application needs beside it. The image gets that,
fwnode, `main.py`, and a module `build_info` with MODEL and VERSION. The same sources give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fwchain import resources
from fwchain.errors import HostError, SetupError

APP = "app.py"
RESERVED = ("main.py", "boot.py", "build_info.py", "fwnode")
LEFT_OUT = ("README.md", "__pycache__")


class FirmwareError(HostError):
    """The source folder does not make a firmware image."""


def sources(folder: Path) -> dict[str, bytes]:
    """The application's files, path → content; hidden files and README.md are left out. Raises SetupError."""
    if not folder.is_dir():
        raise SetupError(f"{folder}: there is no such folder")
    if not (folder / APP).is_file():
        raise SetupError(f"{folder} is no firmware folder: it has no {APP}")
    files = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") or part in LEFT_OUT for part in parts):
            continue
        if parts[0] in RESERVED:
            raise FirmwareError(f"{path}: the name {parts[0]} is fwchain's own; give it another")
        files["/".join(parts)] = path.read_bytes()
    return files


def python_files(files: Mapping[str, bytes]) -> list[bytes]:
    """The sources in Python among `files`: the names in them are not shortened in fwnode (fwchain.board.compact)."""
    return [content for path, content in files.items() if path.endswith(".py")]


def image_files(folder: Path, model: str, version: str) -> dict[str, bytes]:
    """Everything that goes into the image, path → content: fwnode compiled, the rest as it lies there."""
    from fwchain.board import compact

    own = sources(folder)
    library = compact.library(python_files(own))
    files = {"fwnode/" + path: content for path, content in library.items() if path != compact.UNPACKED}
    files["main.py"] = resources.device_file("main.py").read_bytes()
    files["build_info.py"] = f"MODEL = {model!r}\nVERSION = {version!r}\n".encode()
    files.update(own)
    return files


def build(folder: Path, model: str, version: str) -> bytes:
    """The application image of a source folder, for platform `virtual`; raises SetupError or FirmwareError."""
    from fwchain.board import image

    try:
        return image.build_image(model, version, image_files(folder, model, version))
    except image.ImageError as error:
        raise FirmwareError(str(error)) from error
