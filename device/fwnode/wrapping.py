"""A block as it travels in a message: its signed head in a datagram, the whole of it in a POST."""

from fwnode.compat import drive, random_int
from fwnode.wire import message
from fwnode.wire.bencode import decode_dict, encode

MAX_BLOCK = 12000


def head_of(data: bytes) -> bytes:
    """The signed head of an encoded block."""
    body = decode_dict(data, "block", MAX_BLOCK)
    del body["f"]
    return encode(body)


async def wrapped(me, data: bytes, clock) -> bytes:  # type: ignore[no-untyped-def]
    """The message `block` around a block or its signed head; `port` is where the whole can be had."""
    r = random_int(63)
    told = message.new("block", me.net, message.node_id(me.public, r), b"", r)
    told["block"] = data
    told["port"] = me.port
    told["ts"] = clock.told() or 0
    return await drive(message.sign(me.private, told))  # type: ignore[no-any-return]
