"""Bitfields as BEP 3 lays them out: piece 0 is the highest bit of the first byte."""

from fwnode.swarm import Violation


def has(bits, index: int) -> bool:  # type: ignore[no-untyped-def]
    """Whether piece `index` is set."""
    return bool(bits[index >> 3] & (128 >> (index & 7)))


def put(bits: bytearray, index: int) -> None:
    """Set piece `index`."""
    bits[index >> 3] |= 128 >> (index & 7)


def count(bits) -> int:  # type: ignore[no-untyped-def]
    """How many pieces are set."""
    total = 0
    for byte in bits:
        while byte:
            byte &= byte - 1
            total += 1
    return total


def full(pieces: int) -> bytearray:
    """The bitfield of a complete peer, spare bits clear."""
    bits = bytearray(b"\xff" * ((pieces + 7) >> 3))
    if pieces & 7:
        bits[-1] = 0xFF00 >> (pieces & 7) & 0xFF
    return bits


def check(bits, pieces: int) -> None:  # type: ignore[no-untyped-def]
    """Raise Violation unless the spare bits behind the last piece are clear, as BEP 3 asks."""
    if pieces & 7 and bits[-1] & (0xFF >> (pieces & 7)):
        raise Violation("bitfield: spare bits set")
