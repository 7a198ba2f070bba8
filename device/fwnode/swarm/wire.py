"""The peer wire's bytes (BEP 3): handshake, message numbers, hard limits. No I/O."""

import struct

from fwnode.compat import const
from fwnode.swarm import BLOCK, Violation

CHOKE = const(0)
UNCHOKE = const(1)
INTERESTED = const(2)
NOT_INTERESTED = const(3)
HAVE = const(4)
BITFIELD = const(5)
REQUEST = const(6)
PIECE = const(7)
CANCEL = const(8)

PROTOCOL = b"BitTorrent protocol"
HANDSHAKE = const(68)
MAX_MESSAGE = const(9 + 16384)  # a whole block; whatever is longer is an attack or a client that we do not serve
MAX_QUEUE = const(32)  # requests that one peer may have waiting here

# length of the whole message behind its length field, by number; others vary
LENGTHS = b"\x01\x01\x01\x01\x05\x00\x0d\x00\x0d"


def handshake(info_hash: bytes, peer_id: bytes) -> bytes:
    """The 68 bytes that open a connection; no extension is offered."""
    return b"\x13" + PROTOCOL + bytes(8) + info_hash + peer_id


def parse_handshake(view) -> tuple:  # type: ignore[no-untyped-def]
    """(info_hash, peer_id) of the 67 bytes behind the first; reserved bits and the ID's form are left open."""
    if bytes(view[:19]) != PROTOCOL:
        raise Violation("not the BitTorrent protocol")
    return bytes(view[27:47]), bytes(view[47:67])


def check_length(number: int, size: int, field: int) -> None:
    """Raise Violation unless a message of `size` bytes may be number `number`; `field` is the bitfield's bytes."""
    if number == BITFIELD:
        good = size == 1 + field
    elif number == PIECE:
        good = 9 < size <= 9 + BLOCK
    else:
        good = number > CANCEL or size == LENGTHS[number]
    if not good:
        raise Violation("message {} of {} bytes".format(number, size))


def simple(number: int) -> bytes:
    """choke, unchoke, interested, not interested."""
    return struct.pack(">IB", 1, number)


def have(index: int) -> bytes:
    """`have` for one piece."""
    return struct.pack(">IBI", 5, HAVE, index)


def span(number: int, index: int, begin: int, length: int) -> bytes:
    """`request` or `cancel` of one block."""
    return struct.pack(">IBIII", 13, number, index, begin, length)


def block_head(index: int, begin: int, length: int) -> bytes:
    """What stands before a block's bytes."""
    return struct.pack(">IBII", 9 + length, PIECE, index, begin)
