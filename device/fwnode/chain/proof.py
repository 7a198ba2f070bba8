"""Proofs that a record stands in the chain.

An inclusion says that a leaf stands in one block; a board that keeps the block's header needs no
more:
{"t": "inclusion", "height", "hash", "leaf", "i", "n", "path"}.
A proof file adds what somebody needs who has genesis alone: {"t": "proof", "in": the inclusion
encoded, "block": the signed head, "heads": the headers of height 1 to the tip, 88 bytes each,
"roots": trust roots 1 to the last}.
"""

from fwnode.chain import ChainError, merkle
from fwnode.chain import header as headers
from fwnode.chain.authority import Authority
from fwnode.chain.head import Head
from fwnode.chain.record import Log, ReleaseRecord
from fwnode.compat import const
from fwnode.trust.document import BYTES, INT, LIST, only, take
from fwnode.trust.root import Root
from fwnode.wire.bencode import decode_dict, encode

MAX_INCLUSION = const(8192)
MAX_PROOF = 64 << 20


class Inclusion:
    """One leaf of one block with its merkle path."""

    def __init__(self, data: bytes) -> None:
        """Parse; raises ChainError or WireError."""
        where = "inclusion"
        body = decode_dict(data, where, MAX_INCLUSION)
        only(body, where, ("t", "height", "hash", "leaf", "i", "n", "path"))
        if body.get("t") != b"inclusion":
            raise ChainError("inclusion", "type inclusion expected")
        self.data = data
        self.height = take(body, where, "height", INT, 1, 1 << 31)
        self.hash = take(body, where, "hash", BYTES, 32, 32)
        self.leaf = take(body, where, "leaf", BYTES, 1, MAX_INCLUSION)
        self.index = take(body, where, "i", INT, 0, 31)
        self.count = take(body, where, "n", INT, 1, 32)
        self.path = take(body, where, "path", LIST, 0, 5)
        for item in self.path:
            if not isinstance(item, bytes) or len(item) != 32:
                raise ChainError("path", "hashes of 32 bytes expected")

    def check(self, head: bytes) -> None:
        """Raise ChainError unless the block with this header (88 bytes, believed already) holds the
        leaf.
        """
        if headers.hash_of(head) != self.hash:
            raise ChainError("hash", "the header is not that of the block")
        merkle.check(self.leaf, self.index, self.count, self.path, head[40:72])


def inclusion(height: int, block, index: int) -> bytes:  # type: ignore[no-untyped-def]
    """The encoded inclusion of leaf `index` of a decoded Block (log k is leaf k + 1)."""
    leaves = block.leaves()
    return encode(
        {
            "t": "inclusion",
            "height": height,
            "hash": block.hash,
            "leaf": leaves[index],
            "i": index,
            "n": len(leaves),
            "path": merkle.proof(leaves, index),
        }
    )


def build(included: bytes, block: bytes, heads: bytes, roots: list) -> bytes:
    """The encoded proof file; `block` is the signed head, `heads` the headers one after the other."""
    return encode({"t": "proof", "in": included, "block": block, "heads": heads, "roots": roots})


def check(data: bytes, genesis):  # type: ignore[no-untyped-def]
    """Steps: (record, height, headers above the block); raises ChainError, WireError or Untrusted.
    Needs genesis alone.

    Checked: every header's link and work from genesis to the tip, the merkle path, the block's and
    the record's signature under the trust roots, from the root 1 that genesis names. Whether a
    better branch exists, no proof can say.
    """
    where = "proof"
    body = decode_dict(data, where, MAX_PROOF)
    only(body, where, ("t", "in", "block", "heads", "roots"))
    if body.get("t") != b"proof":
        raise ChainError("proof", "type proof expected")
    included = Inclusion(take(body, where, "in", BYTES, 1, MAX_INCLUSION))
    block = Head(take(body, where, "block", BYTES, 1, 768), genesis.net)
    heads = take(body, where, "heads", BYTES, headers.SIZE, MAX_PROOF)
    head = _check_heads(heads, included.height, genesis)
    if block.head != head:
        raise ChainError("block", "its signed head is not the one at height {}".format(included.height))
    included.check(head)
    roots = yield from check_roots(take(body, where, "roots", LIST, 1, 4096), genesis)
    if block.root > len(roots):
        raise ChainError(
            "roots",
            "the block is signed under root {}, {} are given".format(block.root, len(roots)),
        )
    authority = Authority(roots[block.root - 1], genesis.certified)
    yield from block.check_head(authority)
    record = yield from _check_record(included.leaf, authority, block, genesis)
    return record, included.height, len(heads) // headers.SIZE - included.height


def _check_record(leaf: bytes, authority, block, genesis):  # type: ignore[no-untyped-def]
    """Steps: the Log or ReleaseRecord in a leaf, its signatures checked."""
    if decode_dict(leaf, "leaf", MAX_INCLUSION).get("t") == b"verification_log":
        log = Log(leaf, genesis.net)
        yield from log.check(authority, block.header.time, genesis.difficulty)
        return log
    release = ReleaseRecord(leaf)
    yield from release.check(authority.root)
    return release


def _check_heads(heads: bytes, height: int, genesis) -> bytes:  # type: ignore[no-untyped-def]
    if len(heads) % headers.SIZE or len(heads) < height * headers.SIZE:
        raise ChainError("heads", "{} bytes do not hold height {}".format(len(heads), height))
    previous = genesis.hash
    times = [genesis.time]
    view = memoryview(heads)
    for at in range(0, len(heads), headers.SIZE):
        raw = bytes(view[at : at + headers.SIZE])
        header = headers.decode(raw)
        if header.previous != previous:
            raise ChainError("heads", "the header of height {} does not link".format(at // headers.SIZE + 1))
        previous = headers.check_work(raw, genesis.difficulty)
        headers.check_time(header.time, times, None)
        times = times[-10:] + [header.time]
    at = (height - 1) * headers.SIZE
    return heads[at : at + headers.SIZE]


def check_roots(documents: list, genesis):  # type: ignore[no-untyped-def]
    """Steps: the trust roots 1 to the last, each one checked against the one before, root 1 against
    genesis.
    """
    roots = []  # type: list[Root]
    for data in documents:
        if not isinstance(data, bytes):
            raise ChainError("roots", "documents expected")
        root = Root(data)
        if roots:
            yield from roots[-1].check_next(root)
        else:
            root.check_first(genesis.root_hash)
        roots.append(root)
    return roots
