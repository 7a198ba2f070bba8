"""AES-128-GCM (NIST SP 800-38D) from AES-ECB and big integers.

GHASH multiplies polynomials over GF(2) as integers with eight bits a coefficient: 128 products
never carry into the next coefficient, so the low bit of each is the sum mod 2.  ``bin()`` spreads
the bits, and the multiplication itself runs in C.
"""

try:
    from cryptolib import aes
except ImportError:  # CPython: the same face over `cryptography`, for tests
    from .hostaes import aes

from .hmac import equal

# from_bytes, since mpy-cross would fold an expression into hundreds of decimal digits
_ONES = int.from_bytes(b"\1" * 128, "big")  # 128 coefficients
_FOLD = 1 | 1 << 8 | 1 << 16 | 1 << 56  # x^128 in this field
_SHIFT = 24  # a state stands this much higher, since bin() begins with three other characters
_PIECE = 128  # bytes of key stream at a time


def powers(key: bytes) -> tuple:
    """Return what ghash needs of a key H (16 bytes): 128 coefficients 8 bits apart, and those of H^2.

    GCM's x^0 is the first byte's top bit.
    """
    h = int.from_bytes(bin(int.from_bytes(b"\1" + key, "big"))[3:].encode(), "little") & _ONES
    y = h * h
    t = (y >> 1024 & _ONES) * _FOLD
    return h, (y ^ t ^ (t >> 1024) * _FOLD) & _ONES


def ghash(key: tuple, y: int, data: bytes) -> int:
    """Return GHASH's state after data, zero-padded to blocks; key from powers, y the state before or 0.

    Two blocks a reduction: (y + a) H^2 + b H.  Of a state only the lowest bit of the 128 lowest
    coefficients counts: the rest goes with the next block's mask, which its characters need anyway.
    """
    get = int.from_bytes
    ones = _ONES
    low = ones << _SHIFT
    fold = _FOLD << _SHIFT
    end = len(data)
    i = 0
    while i < end:
        b = b"\1" + data[i : i + 16]
        i += 16
        if i > end:
            b += bytes(i - end)
        y = (y ^ get(bin(get(b, "big")).encode(), "little")) & low
        if i < end:
            b = b"\1" + data[i : i + 16]
            i += 16
            if i > end:
                b += bytes(i - end)
            y = y * key[1] ^ (get(bin(get(b, "big")).encode(), "little") & low) * key[0]
        else:
            y *= key[0]
        # the upper half times x^7 + x^2 + x + 1, twice: the first time leaves six coefficients
        t = (y >> 1024 + _SHIFT & ones) * fold
        y ^= t ^ (t >> 1024 + _SHIFT) * fold
    return y


def _join(y: int) -> bytes:
    """Return the block of a state."""
    return int((y >> _SHIFT & _ONES | 0x30 * _ONES).to_bytes(128, "little"), 2).to_bytes(16, "big")


def _xor(a: bytes, b: bytes) -> bytes:
    """Return a XOR the first len(a) bytes of b."""
    n = len(a)
    return (int.from_bytes(a, "big") ^ int.from_bytes(b[:n], "big")).to_bytes(n, "big")


class Gcm:
    """AES-GCM with one key of 16, 24 or 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._aes = aes(key, 1)
        self._key = powers(self._aes.encrypt(bytes(16)))

    def _counter(self, nonce: bytes) -> bytes:
        """Return the first counter block, J0."""
        if len(nonce) == 12:
            return nonce + b"\0\0\0\1"
        y = ghash(self._key, 0, nonce)
        return _join(ghash(self._key, y, (8 * len(nonce)).to_bytes(16, "big")))

    def _tag(self, j0: bytes, aad: bytes, data: bytes) -> bytes:
        """Return the tag (16 bytes) of additional data and ciphertext."""
        y = ghash(self._key, ghash(self._key, 0, aad), data)
        lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(data)).to_bytes(8, "big")
        return _xor(_join(ghash(self._key, y, lengths)), self._aes.encrypt(j0))

    def _crypt(self, j0: bytes, data: bytes, out) -> None:  # type: ignore[no-untyped-def]
        """Put data XOR the key stream into `out`, in pieces that keep the heap small."""
        c = int.from_bytes(j0[12:], "big")
        ctr = bytearray(_PIECE)
        for i in range(0, _PIECE, 16):
            ctr[i : i + 12] = j0[:12]
        for o in range(0, len(data), _PIECE):
            for i in range(12, _PIECE, 16):
                c = c + 1 & 0xFFFFFFFF
                ctr[i : i + 4] = c.to_bytes(4, "big")
            piece = _xor(data[o : o + _PIECE], self._aes.encrypt(ctr))
            out[o : o + len(piece)] = piece

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes, out) -> None:  # type: ignore[no-untyped-def]
        """Put ciphertext and 16-byte tag into `out`, a memoryview of just that size."""
        n = len(plaintext)
        j0 = self._counter(nonce)
        self._crypt(j0, plaintext, out)
        out[n:] = self._tag(j0, aad, out[:n])

    def open(self, nonce: bytes, aad: bytes, sealed: bytes, tag_size: int = 16):  # type: ignore[no-untyped-def]
        """Return the plaintext, or None when the tag (the last `tag_size` bytes) disagrees."""
        n = len(sealed) - tag_size
        if n < 0:
            return None
        sealed = memoryview(sealed)
        j0 = self._counter(nonce)
        if not equal(self._tag(j0, aad, sealed[:n])[:tag_size], sealed[n:]):
            return None
        out = bytearray(n)
        self._crypt(j0, sealed[:n], out)
        return out
