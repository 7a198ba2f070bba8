"""Proof of work in slices: generators that yield after a fixed number of hashes, so that the event
loop lives.

A block's work is over its 88-byte header. A confirmation's (paper 3.3.2, C2-2 step 3) is over
``fwchain/1 confirm`` NUL || SHA-256 of the join_verification || the signer's PU || nonce u32
little-endian: it depends on no branch, and cannot be mined before the join, and with it r, is
known. Both end in the nonce.
"""

import hashlib

from fwnode.chain import ChainError
from fwnode.compat import const

SLICE = const(256)  # hashes between two yields
CONFIRM_TAG = b"fwchain/1 confirm\x00"


def target(difficulty: int) -> bytes:
    """What a hash must be below, as bytes that compare like the numbers do."""
    if difficulty == 1:
        return b"\xff" * 33  # above every hash of 32 bytes
    return ((1 << 256) // difficulty).to_bytes(32, "big")


def mine(data: bytes, difficulty: int, start: int = 0, hashes: int = SLICE):  # type: ignore[no-untyped-def]
    """Steps: `data` with its last four bytes (u32 little-endian) set so that the hash shows the
    work.

    Begins at nonce `start` (its low byte counts as 0) and yields None every `hashes` hashes, a
    multiple of 256. Returns bytes, or None when no nonce is left.
    """
    sha256 = hashlib.sha256
    buffer = bytearray(data)
    at = len(buffer) - 4
    limit = target(difficulty)
    high = start >> 8
    slices = hashes >> 8 or 1
    while high < 1 << 24:
        for _ in range(slices):
            buffer[at + 1] = high & 255
            buffer[at + 2] = high >> 8 & 255
            buffer[at + 3] = high >> 16 & 255
            for low in range(256):
                buffer[at] = low
                if sha256(buffer).digest() < limit:
                    return bytes(buffer)
            high += 1
            if high == 1 << 24:
                break
        yield
    return None


def confirmation(join: bytes, public: bytes, nonce: int) -> bytes:
    """What a confirmation's work is over; `join` is the SHA-256 of the encoded join_verification."""
    return CONFIRM_TAG + join + public + nonce.to_bytes(4, "little")


def confirm(join: bytes, public: bytes, difficulty: int, hashes: int = SLICE):  # type: ignore[no-untyped-def]
    """Steps: the nonce that confirms the join, or None when there is none."""
    found = yield from mine(confirmation(join, public, 0), difficulty, 0, hashes)
    return None if found is None else int.from_bytes(found[-4:], "little")


def check_confirmation(join: bytes, public: bytes, nonce: int, difficulty: int) -> None:
    """Raise ChainError unless the nonce shows the work of a confirmation."""
    digest = hashlib.sha256(confirmation(join, public, nonce)).digest()
    if not digest < target(difficulty):
        raise ChainError("nonce", "the confirmation shows no work of {}".format(difficulty))
