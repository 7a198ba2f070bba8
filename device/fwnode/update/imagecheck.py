"""An ESP image's checksum and appended digest: what the boot loader checks, for whoever wants it beforehand."""

import hashlib

from fwnode.update import ImageError
from fwnode.update.image import DIGEST, Image


def check_steps(readinto, image: Image, buf=None):  # type: ignore[no-untyped-def]
    """Steps: raise ImageError unless checksum and digest of the measured `image` are right.

    `buf` is scratch, 512 bytes when not given.
    """
    buf = memoryview(buf or bytearray(512))
    sha = hashlib.sha256()
    folded = 0
    at = 0
    for start, size in image.segments + [(image.length - (DIGEST if image.digest_appended else 0), 0)]:
        while at < start:
            at = _feed(readinto, sha, at, buf[: min(start - at, len(buf))])
        end = start + size
        count = 0
        while at < end:
            part = buf[: min(end - at, len(buf))]
            at = _feed(readinto, sha, at, part)
            folded ^= int.from_bytes(part, "little")  # XOR of all bytes at once, folded below
            count += 1
            if count & 15 == 0:
                yield
    checksum = 0xEF
    while folded:
        checksum ^= folded & 0xFF
        folded >>= 8
    readinto(at - 1, buf[:1])
    if buf[0] != checksum:
        raise ImageError("image: checksum: 0x{:02x}, expected 0x{:02x}".format(buf[0], checksum))
    if image.digest_appended:
        readinto(at, buf[:DIGEST])
        if sha.digest() != bytes(buf[:DIGEST]):
            raise ImageError("image: digest: SHA-256 of the image differs from the appended one")


def _feed(readinto, sha, at: int, part) -> int:  # type: ignore[no-untyped-def]
    readinto(at, part)
    sha.update(part)
    return at + len(part)
