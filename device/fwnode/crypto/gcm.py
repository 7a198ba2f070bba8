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
_ONES2 = int.from_bytes(b"\1" * 256, "big")
_LOW = 255 * _ONES


def _spread(x: int) -> int:
    """Return a 128-bit block as coefficients 8 bits apart; GCM's bit 0 is the block's top bit."""
    return int.from_bytes(bin(x | 1 << 128)[3:].encode(), "little") & _ONES


def ghash(key: bytes, data: bytes) -> bytes:
    """Return GHASH (16 bytes) of data, a multiple of 16 bytes, under the hash key H."""
    h = _spread(int.from_bytes(key, "big"))
    y = 0
    for i in range(0, len(data), 16):
        y = (y ^ _spread(int.from_bytes(data[i : i + 16], "big"))) * h & _ONES2
        # x^128 = x^7 + x^2 + x + 1, twice: the first fold leaves seven coefficients over
        t = y >> 1024
        y = y & _LOW ^ t ^ t << 8 ^ t << 16 ^ t << 56
        t = y >> 1024
        y = y & _LOW ^ t ^ t << 8 ^ t << 16 ^ t << 56
    y |= 0x30 * _ONES
    return int(y.to_bytes(128, "little"), 2).to_bytes(16, "big")


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


class Gcm:
    """AES-GCM with one key of 16, 24 or 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._aes = aes(key, 1)
        self._h = self._aes.encrypt(bytes(16))

    def _crypt(self, nonce: bytes, aad: bytes, data: bytes, decrypt: bool) -> tuple:
        """Return (data XOR key stream, 16-byte tag)."""
        if len(nonce) == 12:
            j0 = nonce + b"\0\0\0\1"
        else:
            j0 = ghash(self._h, _pad(nonce) + (8 * len(nonce)).to_bytes(16, "big"))
        n = len(data)
        c = int.from_bytes(j0[12:], "big")
        ctr = b"".join(
            [j0[:12] + (c + i & 0xFFFFFFFF).to_bytes(4, "big") for i in range((n + 31) // 16)]
        )
        stream = self._aes.encrypt(ctr)
        x = int.from_bytes(stream[16 : n + 16], "big") ^ int.from_bytes(data, "big")
        out = x.to_bytes(n, "big")
        lengths = (8 * len(aad) << 64 | 8 * n).to_bytes(16, "big")
        s = ghash(self._h, _pad(aad) + _pad(data if decrypt else out) + lengths)
        tag = int.from_bytes(s, "big") ^ int.from_bytes(stream[:16], "big")
        return out, tag.to_bytes(16, "big")

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """Return ciphertext and 16-byte tag."""
        out, tag = self._crypt(nonce, aad, plaintext, False)
        return out + tag

    def open(self, nonce: bytes, aad: bytes, sealed: bytes, tag_size: int = 16) -> bytes | None:
        """Return the plaintext, or None when the tag does not agree."""
        n = len(sealed) - tag_size
        if n < 0:
            return None
        out, tag = self._crypt(nonce, aad, sealed[:n], True)
        return out if equal(tag[:tag_size], sealed[n:]) else None
