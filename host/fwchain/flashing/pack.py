"""fwnode's modules in a dozen files, which fwnode.unpack mounts on a board.

index.pack
    header    "fwp1", u16 number of modules, u16 bytes of the folders' text (at most 255)
    folders   "/chain /crypto …", each with a space behind it
    entries   of each module: u32 CRC-32 of its path ("/chain/header.mpy"), u16 number of its block, u16 bytes of other
              modules before it in the block
    offsets   u16 for every 16 names: where the first of them stands
    names     a byte and the name: its length; 128 + length when it is encoded as .mpy files do (MicroPython's own are).
              A first byte below 32 stands for the name of that number and a dot

0.pack, 1.pack, …
    raw deflate (window 4 KiB) of some modules: u16 the size of the .mpy file, u16 the bytes of its names' numbers, then
    the file: 8 bytes of its head, the names' numbers in place of the names, all else as it is

The commonest names have the smallest numbers: those below 224 take one byte, the others two (224 + the high byte of
number - 224, its low byte). All else is little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fwchain.errors import HostError

MAGIC = b"fwp1"
INDEX = "index.pack"
BLOCK = 12288  # bytes of modules, before deflating: a board inflates half a block to get at a module
WINDOW_BITS = 12  # 4 KiB of a board's heap while it loads a module
GROUP = 16
ROW = 256  # bytes that a board reads at once of the names
ONE_BYTE = 224
PREFIXES = 32
MAX_NAME = 63
MAX_TEXT = 255
MAX_MODULE = 0xFFFF

Name = bytes | int  # an int is the number of one that MicroPython has by itself


class PackError(HostError):
    """The modules do not fit into the format."""


@dataclass(frozen=True)
class Module:
    """A .mpy file taken apart (MicroPython: py/persistentcode.c)."""

    head: bytes
    names: list[Name]
    rest: bytes
    size: int


def packed(modules: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of the pack of `modules` (path below fwnode → content of a .mpy file), name → content."""
    parts = {path: taken_apart(path, data) for path, data in sorted(modules.items())}
    folders = sorted({"/" + path.rpartition("/")[0] for path in parts if "/" in path})
    for folder in folders:
        if f"{folder[1:]}/__init__.mpy" not in parts:
            raise PackError(f"{folder[1:]}: a folder without __init__")
    numbers = _numbers(parts.values(), folders)
    stored = {path: _stored(path, module, numbers) for path, module in parts.items()}
    text = "".join(folder + " " for folder in folders).encode()
    if len(text) > MAX_TEXT:
        raise PackError(f"the folders' names have {len(text)} bytes, limit {MAX_TEXT}")
    index = MAGIC + struct.pack("<HH", len(parts), len(text)) + text
    files = {}
    for number, group in enumerate(_grouped(_ordered(stored))):
        before = 0
        for path, data in group:
            index += struct.pack("<IHH", zlib.crc32(f"/{path}".encode()), number, before)
            before += len(data)
        files[f"{number}.pack"] = _deflated(b"".join(data for _, data in group))
    return {INDEX: index + _names(list(numbers), numbers, len(index)), **files}


def taken_apart(path: str, data: bytes) -> Module:
    """A .mpy file's head (its two counts in two bytes each), names, and the rest."""
    at = 4

    def uint() -> int:
        nonlocal at
        value = 0
        while True:
            value = value << 7 | data[at] & 127
            at += 1
            if data[at - 1] < 128:
                return value

    count, objects = uint(), uint()
    names: list[Name] = []
    for _ in range(count):
        size = uint()
        if size & 1:
            names.append(size >> 1)
        else:
            names.append(data[at : at + (size >> 1)])
            at += (size >> 1) + 1
    for name in names:
        if isinstance(name, bytes) and not 0 < len(name) <= MAX_NAME:
            raise PackError(f"{path}: the name {name!r} has {len(name)} bytes, allowed are 1 to {MAX_NAME}")
    head = data[:4] + _two_bytes(count) + _two_bytes(objects)
    encoded = sum(len(_encoded(name)) for name in names)
    return Module(head, names, data[at:], len(head) + encoded + len(data) - at)


def _two_bytes(value: int) -> bytes:
    """A number of a .mpy file, always in two bytes."""
    return bytes((0x80 | value >> 7, value & 127))


def _encoded(name: Name) -> bytes:
    """A name as it stands in a .mpy file."""
    if isinstance(name, bytes):
        return bytes((2 * len(name),)) + name + b"\0"
    code = name << 1 | 1
    return bytes((code,)) if code < 128 else _two_bytes(code)


def _numbers(modules: Iterable[Module], folders: Iterable[str]) -> dict[Name, int]:
    """The names in their order: packages, by which others begin, then the commonest first."""
    uses: Counter[Name] = Counter(name for module in modules for name in set(module.names))
    packages = [b"fwnode", *(b"fwnode." + folder[1:].replace("/", ".").encode() for folder in folders)]
    if len(packages) > PREFIXES:
        raise PackError(f"{len(packages)} packages, at most {PREFIXES} fit")
    others = sorted(uses.keys() - set(packages), key=lambda name: (-uses[name], str(name)))
    return {name: number for number, name in enumerate([*packages, *others])}


def _names(order: list[Name], numbers: Mapping[Name, int], at: int) -> bytes:
    """Offsets and names; they stand `at` this place of the file."""
    groups = [order[first : first + GROUP] for first in range(0, len(order), GROUP)]
    rows = [b"".join(_named(name, numbers) for name in group) for group in groups]
    if longest := max((len(row) for row in rows if len(row) > ROW), default=0):
        raise PackError(f"{GROUP} names have {longest} bytes, limit {ROW}")
    offsets, at = [], at + 2 * len(rows)
    for row in rows:
        offsets.append(at)
        at += len(row)
    return struct.pack(f"<{len(rows)}H", *offsets) + b"".join(rows)


def _named(name: Name, numbers: Mapping[Name, int]) -> bytes:
    if isinstance(name, int) or name[0] < PREFIXES:
        code = _encoded(name)
        return bytes((128 + len(code),)) + code
    package, dot, last = name.rpartition(b".")
    number = numbers.get(package, PREFIXES)
    short = bytes((number,)) + last if dot and number < PREFIXES else name
    return bytes((len(short),)) + short


def _ordered(stored: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Like next to like: each time the module that gains most from what lies before it in the window (2 % less)."""
    left = dict(stored)
    alone = {path: len(_deflated(data)) for path, data in left.items()}
    before = b""
    while left:
        path = min(left, key=lambda path: len(_deflated(left[path], before)) - alone[path])
        yield path, left[path]
        before = (before + left.pop(path))[-(1 << WINDOW_BITS) :]


def _grouped(stored: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    group: list[tuple[str, bytes]] = []
    for path, data in stored:
        if group and sum(len(other) for _, other in group) + len(data) > BLOCK:
            yield group
            group = []
        group.append((path, data))
    if group:
        yield group


def _stored(path: str, module: Module, numbers: Mapping[Name, int]) -> bytes:
    """A module as it stands in its block."""
    if module.size > MAX_MODULE:
        raise PackError(f"{path}: {module.size} bytes, limit {MAX_MODULE}")
    codes = b"".join(_code(numbers[name]) for name in module.names)
    return struct.pack("<HH", module.size, len(codes)) + module.head + codes + module.rest


def _code(number: int) -> bytes:
    if number < ONE_BYTE:
        return bytes((number,))
    return bytes((ONE_BYTE + (number - ONE_BYTE >> 8), number - ONE_BYTE & 255))


def _deflated(data: bytes, before: bytes = b"") -> bytes:
    """Raw deflate of the data; `before` fills the window."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS, 9, zlib.Z_DEFAULT_STRATEGY, before)
    return deflater.compress(data) + deflater.flush()
