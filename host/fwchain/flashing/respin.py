"""A second valid image out of a first one: another version in the application description, and the
checksum and digest that follow from it.

So a real board can be updated to another image without a compiler. Layout: ESP-IDF, app image format.
"""

from __future__ import annotations

import hashlib
import struct

from fwchain.flashing.errors import WrongFile

HEADER = 24
VERSION_AT = 48  # in the file: header, segment header, 16 bytes into esp_app_desc_t
VERSION_SIZE = 32
APP_DESC_AT = 32
APP_DESC_MAGIC = 0xABCD5432
CHECKSUM_SEED = 0xEF


def respin(image: bytes, version: str) -> bytes:
    """`image` (an application image, anything behind it is dropped) with `version`; WrongFile if it is none."""
    text = version.encode()
    if not 0 < len(text) < VERSION_SIZE:
        raise WrongFile(f"version {version!r} has {len(text)} bytes, allowed are 1 to {VERSION_SIZE - 1}")
    if len(image) < 288 or image[0] != 0xE9:
        raise WrongFile("no ESP application image: it does not begin with e9")
    if struct.unpack_from("<I", image, APP_DESC_AT)[0] != APP_DESC_MAGIC:
        raise WrongFile("the image has no application description: is it a boot loader or a full flash image?")
    data = bytearray(image)
    data[VERSION_AT : VERSION_AT + VERSION_SIZE] = text.ljust(VERSION_SIZE, b"\0")
    at, checksum = HEADER, CHECKSUM_SEED
    for number in range(data[1]):
        size = struct.unpack_from("<I", data, at + 4)[0] if at + 8 <= len(data) else len(data)
        if at + 8 + size >= len(data):
            raise WrongFile(f"segment {number} ends behind the image: it is cut short")
        for byte in data[at + 8 : at + 8 + size]:
            checksum ^= byte
        at += 8 + size
    at += 15 - at % 16
    end = at + 1
    if end > len(data):
        raise WrongFile("the image ends before its checksum: it is cut short")
    data[at] = checksum
    if data[23] == 1:
        data[end : end + 32] = hashlib.sha256(data[:end]).digest()
        end += 32
    if end > len(image):
        raise WrongFile("the image ends before its digest: it is cut short")
    return bytes(data[:end])
