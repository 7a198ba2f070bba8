"""Checking an application image as ESP-IDF's boot loader and esp_ota_set_boot_partition do.

Image: header 24 bytes (magic E9, number of segments, …, chip ID u16 at 12, hash flag at 23), then
segments of (load address u32, length u32, data), padding so that the checksum byte ends a 16-byte
row, then SHA-256 of all of it. Facts: ESP-IDF esp_image_format.c, esp_app_format.h.
"""

import hashlib
import struct

MAGIC = 0xE9
MAX_SEGMENTS = 16
MMU_PAGE = 0x10000
SIXTEEN_MB = 0x1000000
APP_DESC_MAGIC = 0xABCD5432
APP_DESC_OFFSET = 32
ROMFS_MAGIC = b"\xd2\xcd\x31"
_CHUNK = 128


class BadImage(Exception):
    """What the boot loader says of an image that it refuses."""


def _mapped(address):
    """Addresses that the ESP32 reads through its flash cache (DROM, IROM)."""
    return 0x3F400000 <= address < 0x3F800000 or 0x400D0000 <= address < 0x40400000


def segments(mem, offset, size):
    """Walk the headers of the image in the partition (offset, size) of flash `mem`.

    Returns ([(load address, offset of the data in flash, length)], offset of the end of the last
    segment).
    """
    if mem[offset] != MAGIC:
        raise BadImage("image at 0x{:x} has invalid magic byte (nothing flashed here?)".format(offset))
    count = mem[offset + 1]
    if count > MAX_SEGMENTS:
        raise BadImage("image at 0x{:x} segment count {} exceeds max {}".format(offset, count, MAX_SEGMENTS))
    found = []
    at = offset + 24
    end = min(offset + size, len(mem))
    for index in range(count):
        if at + 8 > end:
            raise BadImage("image at 0x{:x} runs past its partition".format(offset))
        address, length = struct.unpack_from("<II", mem, at)
        at += 8
        if length % 4 or length >= SIXTEEN_MB:
            raise BadImage("Segment {} length 0x{:x} is invalid".format(index, length))
        if _mapped(address) and at % MMU_PAGE != address % MMU_PAGE:
            raise BadImage("Segment {} load address 0x{:08x}, doesn't match data 0x{:08x}".format(index, address, at))
        if at + length > end:
            raise BadImage("Image length {} doesn't fit in partition length {}".format(at + length - offset, size))
        found.append((address, at, length))
        at += length
    return found, at


def length(mem, offset, size):
    """Length of the image in bytes, digest included, without checking its content."""
    end = segments(mem, offset, size)[1]
    total = ((end - offset) | 15) + 1
    if mem[offset + 23]:
        total += 32
    if total > size:
        raise BadImage("Image length {} doesn't fit in partition length {}".format(total, size))
    return total


def verify(mem, offset, size, chip_id=0):
    """Check header, segments, checksum and digest; returns the image's length. Raises BadImage."""
    parts, end = segments(mem, offset, size)
    chip = struct.unpack_from("<H", mem, offset + 12)[0]
    if chip != chip_id:
        raise BadImage("mismatch chip ID, expected {}, found {}".format(chip_id, chip))
    total = length(mem, offset, size)
    folded = 0
    for _address, at, size_ in parts:
        stop = at + size_
        while at < stop:
            n = min(_CHUNK, stop - at)
            folded ^= int.from_bytes(mem[at : at + n], "little")
            at += n
    checksum = 0xEF
    while folded:
        checksum ^= folded & 0xFF
        folded >>= 8
    stored = mem[offset + ((end - offset) | 15)]
    if stored != checksum:
        raise BadImage("Checksum failed. Calculated 0x{:x} read 0x{:x}".format(checksum, stored))
    if mem[offset + 23]:
        digest = hashlib.sha256()
        stop = offset + total - 32
        for at in range(offset, stop, 4096):
            digest.update(mem[at : min(at + 4096, stop)])
        if digest.digest() != bytes(mem[stop : stop + 32]):
            raise BadImage("Image hash failed - image is corrupt")
    return total


def description(mem, offset):
    """(version, project name) of the app description, or None when the image has none."""
    at = offset + APP_DESC_OFFSET
    if struct.unpack_from("<I", mem, at)[0] != APP_DESC_MAGIC:
        return None
    return _text(mem[at + 16 : at + 48]), _text(mem[at + 48 : at + 80])


def _text(field):
    field = bytes(field)
    end = field.find(b"\x00")
    return str(field if end < 0 else field[:end], "utf-8", "replace")


def romfs(mem, offset, size):
    """(offset, length) of the ROMFS that follows the app description, or None."""
    _address, at, length_ = segments(mem, offset, size)[0][0]
    start = at + 256
    if length_ <= 256 or bytes(mem[start : start + 3]) != ROMFS_MAGIC:
        return None
    return start, length_ - 256
