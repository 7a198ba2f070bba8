"""How a full node tells of a block: the message `block`, with the head for a datagram or all of it for a POST."""

from __future__ import annotations

import time

from fwnode.chain.head import Head
from fwnode.compat import random_int, run
from fwnode.roles.identity import Identity
from fwnode.wire import message


def tell(me: Identity, block: bytes, whole: bool) -> bytes:
    """The signed message about an encoded block that `me` signed; `me.port` is where the whole can be had."""
    r = random_int(63)
    told = message.new("block", me.net, message.node_id(me.public, r), b"", r)
    told["block"] = block if whole else Head(block, me.net).announcement()
    told["port"] = me.port
    told["ts"] = int(time.time())
    data: bytes = run(message.sign(me.private, told))
    return data
