"""The verifier H(fv): SHA-256 over a firmware's exact length (paper §3.2)."""

import hashlib

SLICE = 16384  # bytes hashed between two yields


def verifier_steps(view, length: int, buf=None):  # type: ignore[no-untyped-def]
    """Steps: SHA-256 of the first `length` bytes of `view` (anything with readinto(offset, buf)).

    `buf` is scratch, 2,048 bytes when not given; allocated once.
    """
    buf = memoryview(buf or bytearray(2048))
    sha = hashlib.sha256()
    at = 0
    pause = SLICE
    while at < length:
        part = buf if length - at >= len(buf) else buf[: length - at]
        view.readinto(at, part)
        sha.update(part)
        at += len(part)
        if at >= pause:
            pause += SLICE
            yield
    return sha.digest()
