"""n_j's block of a C2-2 (design: the chain): its confirmations and n_i's own log, mined in slices, announced by its
signed head, and given whole to the verification nodes. Loaded on demand by fwnode.neighbours.
"""

from fwnode.chain import ChainError, block
from fwnode.chain.record import Log
from fwnode.compat import drive, random_int
from fwnode.errors import FwError
from fwnode.wire import message
from fwnode.wire.bencode import decode_dict, encode

TRIES = 3  # when another block becomes the tip meanwhile


class _Kept:
    """A log whose signature was checked, as fwnode.chain.block.verification_field wants it."""

    success = True

    def __init__(self, data: bytes) -> None:
        self.data = data


async def make(engine, logs: list, final: bytes) -> None:  # type: ignore[no-untyped-def]
    """Mine, keep and announce the block of `logs` (confirmations that counted) and `final` (n_i's log, or b"")."""
    node = engine.node
    kept = [_Kept(data) for data in logs[: block.MAX_LOGS - 1]]
    if final:
        try:
            kept.append(await _final(engine, final))
        except FwError as error:
            engine.counters.drop(error)
    sender = {engine.me.credential[0]: engine.me.credential[1]}
    public = engine.me.public
    for _ in range(TRIES):
        try:
            parent = node.ledger.link()
        except ChainError as error:
            node.hooks.state("error", what="block", why=str(error))
            return
        field = block.verification_field(public, False, parent, kept)
        time = node.clock.now() or 0
        root = max(engine.root.number, parent.root)
        data = await drive(block.make(engine.me.private, sender, engine.genesis, parent, time, root, field))
        head = announcement(data)
        if node.ledger.link().hash == parent.hash and await node.ledger.add_own(data, head, engine):
            node.hooks.state(
                "block", hash=block.headers.hash_of(decode_dict(head, "head", 1024)["head"]).hex(), logs=len(kept)
            )
            await node.lan.broadcast(await wrapped(engine.me, head, node.clock))
            return
    node.hooks.state("error", what="block", why="others were faster {} times".format(TRIES))


async def _final(engine, final: bytes) -> Log:  # type: ignore[no-untyped-def]
    log = Log(final, engine.me.net)
    now = engine.node.clock.now()
    await drive(log.check(engine.authority, now, engine.genesis.difficulty))
    return log


def announcement(data: bytes) -> bytes:
    """The signed head of an encoded block."""
    body = decode_dict(data, "block", 12000)
    del body["f"]
    return encode(body)


async def wrapped(me, data: bytes, clock) -> bytes:  # type: ignore[no-untyped-def]
    """The message `block` around a block or its signed head."""
    r = random_int(63)
    told = message.new("block", me.net, message.node_id(me.public, r), b"", r)
    told["block"] = data
    told["port"] = me.port
    told["ts"] = clock.told() or 0
    return await drive(message.sign(me.private, told))
