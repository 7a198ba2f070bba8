"""SHA-256, HMAC (RFC 2104) and HKDF (RFC 5869), on what both interpreters have."""

from hashlib import sha256 as _sha256

_BLOCK = 64
# one XOR of 512 bits instead of 64 of bytes
_IPAD = int.from_bytes(b"\x36" * _BLOCK, "big")
_OPAD = int.from_bytes(b"\x5c" * _BLOCK, "big")


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 of data (FIPS 180-4)."""
    return _sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA-256 of data (RFC 2104)."""
    if len(key) > _BLOCK:
        key = sha256(key)
    k = int.from_bytes(key, "big") << 8 * (_BLOCK - len(key))
    h = _sha256((k ^ _IPAD).to_bytes(_BLOCK, "big"))
    h.update(data)
    return sha256((k ^ _OPAD).to_bytes(_BLOCK, "big") + h.digest())


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes (at most 8160) from HKDF-Expand (RFC 5869 section 2.3)."""
    out = t = b""
    i = 1
    while len(out) < length:
        t = hmac_sha256(prk, t + info + bytes((i,)))
        out += t
        i += 1
    return out[:length]


def equal(a: bytes, b: bytes) -> bool:
    """Compare two byte strings in a time that depends on their lengths only."""
    if len(a) != len(b):
        return False
    d = 0
    for x, y in zip(a, b):
        d |= x ^ y
    return d == 0
