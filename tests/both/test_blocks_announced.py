"""Announcements of blocks on a board: work and signatures before anything is kept or fetched, each by its rule."""

import asyncio

from c2_parts import Exchange, R
from chain_parts import TIME, key
from fwnode import blocks as module
from fwnode.blocks import Blocks
from fwnode.compat import run
from fwnode.roles.identity import Counters
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode

NEAR = "10.0.0.7"
PORT = 4009
exchange = Exchange()
network = exchange.network
BLOCK = network.by_board(2, network.genesis.link(), [network.log(5)])
HEAD = network.block(BLOCK).announcement()


class Node:
    """A node whose ledger notes what reaches it; `taken` is what it says of it."""

    def __init__(self, taken=True):
        self.dropped = {}
        self.ledger = self
        self.taken = taken
        self.heads = []

    async def take_head(self, head, source, blocks):
        self.heads.append((head, source))
        return self.taken


class Door:
    """Notes who became a member."""

    def __init__(self):
        self.curves = self
        self.known = []

    def know(self, public, ip):
        self.known.append((public, ip))


def blocks(node=None):
    made = Blocks(node or Node(), Door())
    made.me, made.genesis, made.authority = exchange.me(1), network.genesis, exchange.authority()
    return made


def told(head=HEAD, number=2, private=None, **changes):
    """The message `block` of board `number`."""
    me = exchange.me(number)
    body = message.new("block", network.net, message.node_id(me.public, R), b"", R)
    body["block"], body["port"], body["ts"] = head, PORT, TIME + 100
    body.update(changes)
    return run(message.sign(private or me.private, body))


def announced(made, data):
    """What it was dropped for, "" when it was taken."""
    counters = Counters()
    made.counters = counters
    made.door.heads = [(data, NEAR)]

    async def take():
        from fwnode.errors import FwError

        try:
            await made._announced(data, NEAR)
        except FwError as error:
            counters.drop(error)

    asyncio.run(take())
    return "".join(counters.by_reason)


def test_a_good_one_reaches_the_chain_and_its_sender_is_a_member():
    made = blocks()
    assert announced(made, told()) == ""
    assert made.node.heads == [(HEAD, (NEAR, PORT))] and made.door.known == [(exchange.me(2).public, NEAR)]


def test_one_that_brings_nothing_new_makes_nobody_a_member():
    for taken in (False, None):
        made = blocks(Node(taken))
        assert announced(made, told()) == "" and made.door.known == []


def test_without_work_no_signature_is_looked_at():
    body = decode(HEAD)
    header = bytearray(body["head"])
    made = blocks()

    def no_curves(received, public):
        raise AssertionError("a signature was checked")

    kept, message.verify = message.verify, no_curves
    try:
        found = []
        for nonce in range(64):
            header[84:88] = nonce.to_bytes(4, "little")
            head = encode(dict(body, head=bytes(header)))
            try:
                found.append(announced(made, changed(told(), block=head)))
            except AssertionError:
                pass  # this nonce happens to be work enough
        easy = bytearray(body["head"])
        easy[80:84] = (1).to_bytes(4, "little")  # a difficulty of its own
        assert announced(made, changed(told(), block=encode(dict(body, head=bytes(easy))))) == "difficulty"
    finally:
        message.verify = kept
    assert len(found) > 32 and set(found) == {"nonce"} and made.node.heads == []


def changed(data, **changes):
    body = decode(data)
    body.update(changes)
    return encode({name: value for name, value in body.items() if value is not None})


def test_forged_re_signed_cut_and_too_large():
    made = blocks()
    good = told()
    for data, reason in (
        (changed(good, sig=bytes(63) + b"\x01"), "signature"),
        (told(private=key(77)[0]), "signature"),
        (changed(good, port=PORT + 1), "signature"),  # where the block is fetched is signed
        (changed(good, ts=TIME), "signature"),
        (changed(good, port=80), "malformed"),
        (changed(good, block=None), "malformed"),
        (changed(good, extra=1), "malformed"),
        (changed(good, block=HEAD[:-1]), "malformed"),
        (changed(good, block=bytes(12001)), "malformed"),
        (changed(good, block=changed(HEAD, net=bytes(8))), "net"),
        (changed(good, block=changed(HEAD, t=b"tail")), "block"),
        (changed(good, block=changed(HEAD, head=bytes(87))), "header"),
        (changed(good, block=changed(HEAD, cert=None)), "cert"),
        (good[:-1], "malformed"),
        (good + bytes(17000), "malformed"),
    ):
        assert announced(made, data) == reason, (reason, data)
    assert made.node.heads == [] and made.door.known == []


class Who:
    """Credentials that need no flash."""

    def __init__(self, node):
        self.me, self.genesis, self.root = exchange.me(1), network.genesis, network.root

    async def read(self):
        return self


def test_a_check_of_this_board_waits_for_one_announcement_and_not_for_all():
    made = Blocks(Node(), Door())
    made.door.heads, made.door.logs, made.door.closing = [(b"one", NEAR), (b"two", NEAR)], [], False
    seen = []

    async def announced(data, ip):
        seen.append(data)
        made.door.closing = True

    made._announced = announced
    kept, module.Credentials = module.Credentials, Who
    try:
        asyncio.run(made.run())
    finally:
        module.Credentials = kept
    assert seen == [b"one"] and made.door.heads == [(b"two", NEAR)]
