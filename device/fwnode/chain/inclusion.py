"""That a record stands in one block: the leaf with its merkle path.

{"t": "inclusion", "height", "hash": of the block, "leaf", "i": its index, "n": number of leaves, "path"}. A board that
keeps the block's header needs no more.
"""

from fwnode.chain import ChainError, merkle
from fwnode.chain import header as headers
from fwnode.compat import const
from fwnode.trust.document import BYTES, INT, LIST, only, take
from fwnode.wire.bencode import decode_dict, encode

MAX_INCLUSION = const(8192)


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
