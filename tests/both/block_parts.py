"""Blocks that are as they should be, and changed ones: what the tests of blocks share."""

from chain_parts import Network
from fwnode.chain import block as blocks
from fwnode.chain import header as headers
from fwnode.chain import merkle
from fwnode.chain.pow import mine
from fwnode.wire.bencode import decode, encode
from support import raises, run

_kept = []


def network():
    """One network for all tests of a file; its keys cost time on MicroPython."""
    if not _kept:
        _kept.append(Network())
    return _kept[0]


def refused(kind, field, data, parent=None, net=None):
    """The block is refused with ChainError at this field, or with the other exception."""
    net = net or network()
    error = raises(kind, net.check, data, parent or net.genesis.link())
    assert field is None or error.field == field, str(error)
    return str(error)


def changed(data, **changes):
    """The block with fields of its outer dictionary changed, not signed again."""
    body = decode(data)
    body.update(changes)
    return encode(body)


def rebuilt(net, data, field=None, mined=True, counter=None, **header):
    """The verification node's block made anew over another field or header, mined and signed."""
    body = decode(data)
    field = field or body["f"]
    made = headers.decode(body["head"])
    made.size = headers.SIZE + len(encode(field))
    made.root = merkle.root(blocks.leaves(field, body["root"]))
    for name, value in header.items():
        setattr(made, name, value)
    head = made.encode()
    if mined:
        head = run(mine(head, net.genesis.difficulty))
    counter = body["c"] if counter is None else counter
    return run(blocks.sign(net.node, net.net, head, counter, body["root"], {"pu": body["pu"]}, field))
