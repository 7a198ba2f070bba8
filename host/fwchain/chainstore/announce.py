"""The message `block`: a full node's word that there is a new block.

A datagram carries the signed head, and the port at which the sender gives the whole block; a POST to a full node
carries the whole block. The signer of the block signs the message too, with an ID made from his key and r.
"""

from __future__ import annotations

from typing import Any

from fwnode import crypto
from fwnode.chain import header
from fwnode.chain.block import Block
from fwnode.chain.genesis import Genesis
from fwnode.chain.head import Head
from fwnode.compat import random_int, run
from fwnode.roles.strangers import check_time
from fwnode.trust import Untrusted
from fwnode.trust.cert import Certificate
from fwnode.wire import message


def announce(private: bytes, net: bytes, block: bytes, port: int, now: int, whole: bool = False) -> bytes:
    """The signed message about an encoded block that the owner of `private` signed; `whole`: with all of it."""
    r = random_int(63)
    told = message.new("block", net, message.node_id(crypto.public_key(private), r), b"", r)
    told["block"] = block if whole else Head(block, net).announcement()
    told["port"] = port
    told["ts"] = now
    data: bytes = run(message.sign(private, told))
    return data


def check(told: dict[str, Any], genesis: Genesis, now: int, whole: bool) -> Head:
    """The signed head (`whole`: the Block) in a parsed message; raises ChainError, WireError or Untrusted.

    Shape, work and ID come before the message's signature; certificate and the block's own signature are the store's.
    """
    head = Block(told["block"], genesis.net) if whole else Head(told["block"], genesis.net)
    header.check_work(head.head, genesis.difficulty)
    check_time(told.get("ts", 0), now)
    public = Certificate(head.body["cert"]).public if "cert" in head.body else head.body.get("pu", b"")
    if told["to"] or told["from"] != message.node_id(public, told["r"]):
        raise Untrusted("id", "from: not made from the key of the block's signer and r")
    if not run(message.verify(told, public)):
        raise Untrusted("signature", "block: wrong signature")
    return head
