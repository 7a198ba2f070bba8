"""ESP application images: exact length, chip and version, read from a few headers (ESP-IDF, app image format).

Layout: header of 24 bytes; per segment a header of 8 and its data; zeros up to one byte short of a multiple of
16, and the checksum in that byte; SHA-256 of all before it when the header says so. The application description
opens the first segment, at 0x20. Checksum and digest are in `imagecheck`.
"""

import struct

from fwnode.compat import const
from fwnode.update import ImageError

MAGIC = const(0xE9)
_HEADER = const(24)
_MAX_SEGMENTS = const(16)
HEAD = const(288)  # header, first segment's header, application description
DIGEST = const(32)
_TABLE_AT = (0x8000, 0x7000)  # the partition table, in a file that starts at 0x0 or at 0x1000 of the flash

# platform of a release: chip id in the header; the virtual board's images are built as ESP32's
CHIPS = {"esp32": 0, "esp32s3": 9, "esp32c3": 5, "virtual": 0}


class Image:
    """What the headers say. `length` is exact, in bytes; 0 where only the first sector was at hand."""

    def __init__(self, head) -> None:  # type: ignore[no-untyped-def]
        self.chip = head[12] | head[13] << 8
        self.segment_count = head[1]
        self.digest_appended = head[23] == 1
        self.version = _text(head, 48)
        self.project = _text(head, 80)
        self.segments = []  # type: list
        self.length = 0


def chip_of(platform: str) -> int:
    """The chip id that images for `platform` carry; raises ImageError for an unknown platform."""
    if platform not in CHIPS:
        raise ImageError("platform: {} is none of {}".format(platform, ", ".join(sorted(CHIPS))))
    return CHIPS[platform]


def check_first(buf, chip=None) -> Image:  # type: ignore[no-untyped-def]
    """Judge an image by its first bytes (288 at least, a sector as a rule), before anything is erased.

    `chip` is the id wanted (None: any). Raises ImageError: wrong magic, full flash image, wrong chip, no
    application description.
    """
    if len(buf) < HEAD:
        raise ImageError("image: {} bytes, an application image has at least {}".format(len(buf), HEAD))
    if buf[0] == 0xFF:
        raise _full_flash("it starts with 0xff: erased, or a full flash image from address 0")
    if buf[0] != MAGIC:
        raise ImageError("image: magic: 0x{:02x}, expected 0x{:02x}".format(buf[0], MAGIC))
    if not 1 <= buf[1] <= _MAX_SEGMENTS:
        raise ImageError("image: segments: {}, limit 1 to {}".format(buf[1], _MAX_SEGMENTS))
    found = Image(buf)
    if chip is not None and found.chip != chip:
        raise ImageError("image: chip id: {}, this board has {}".format(found.chip, chip))
    if buf[23] > 1:
        raise ImageError("image: hash_appended: {}, limit 0 to 1".format(buf[23]))
    if struct.unpack_from("<I", buf, 32)[0] != 0xABCD5432:
        raise _full_flash("no application description at 0x20")
    size = struct.unpack_from("<I", buf, 28)[0]
    if size < 256:
        raise ImageError("image: segment 0: {} bytes, no room for the application description".format(size))
    return found


def measure(readinto, limit: int, chip=None) -> Image:  # type: ignore[no-untyped-def]
    """Read an image's headers through `readinto(offset, buf)`; raises ImageError.

    `limit` is the slot's or the file's size in bytes: nothing beyond it is read or accepted.
    """
    if limit < HEAD:
        raise ImageError("image: {} bytes, an application image has at least {}".format(limit, HEAD))
    head = bytearray(HEAD)
    readinto(0, head)
    pair = memoryview(head)[:2]
    try:
        found = check_first(head, chip)
    except ImageError:
        for at in _TABLE_AT:
            if limit > at + 2:
                readinto(at, pair)
                if pair[0] == 0xAA and pair[1] == 0x50:
                    raise _full_flash("partition table at 0x{:x}".format(at))
        raise
    at = _HEADER
    header = memoryview(head)[:8]
    for index in range(found.segment_count):
        if at + 8 > limit:
            raise _too_long("segment {}: header".format(index), at + 8, limit)
        readinto(at, header)
        size = struct.unpack("<I", header[4:])[0]
        if size > limit - at - 8:
            raise _too_long("segment {}".format(index), at + 8 + size, limit)
        found.segments.append((at + 8, size))
        at += 8 + size
    found.length = (at + 16) & ~15
    if found.digest_appended:
        found.length += DIGEST
    if found.length > limit:
        raise _too_long("length", found.length, limit)
    return found


def _too_long(field: str, end: int, limit: int) -> ImageError:
    return ImageError("image: {} ends at {}, limit {}".format(field, end, limit))


def _full_flash(why: str) -> ImageError:
    return ImageError("image: no application image, but a boot loader or full flash image ({})".format(why))


def _text(head, at: int) -> str:  # type: ignore[no-untyped-def]
    """A NUL-terminated field of 32 bytes; what is not printable ASCII becomes '?'."""
    out = ""
    for byte in head[at : at + 32]:
        if not byte:
            break
        out += chr(byte) if 0x20 <= byte < 0x7F else "?"
    return out
