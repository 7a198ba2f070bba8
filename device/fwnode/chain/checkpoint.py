"""A checkpoint: below it no branch is given up for another. Signed by the trust root's threshold of
verification nodes.

{"height", "hash", "c": the branch's verification counter there, "times": of up to 11 headers, the
last one its own, "net", "sigs": [[key ID, signature], …]}, signed as ``fwchain/1 checkpoint`` NUL
and the dictionary without `sigs`. `res_verchk` carries it.
"""

from fwnode.chain import ChainError
from fwnode.chain.head import MAX_COUNTER, Link
from fwnode.compat import const
from fwnode.crypto import steps
from fwnode.trust.document import (
    BYTES,
    INT,
    LIST,
    check_signatures,
    count_signers,
    only,
    signed_hash,
    take,
)
from fwnode.wire.bencode import decode_dict, encode
from fwnode.wire.message import key_id

MAX_CHECKPOINT = const(1024)
_FIELDS = ("height", "hash", "c", "root", "times", "net", "sigs")


class Checkpoint:
    """Height, hash, counter and times of one block; nothing is believed before `check`."""

    def __init__(self, data: bytes, net: bytes) -> None:
        """Parse; raises ChainError or WireError."""
        where = "checkpoint"
        body = decode_dict(data, where, MAX_CHECKPOINT)
        only(body, where, _FIELDS)
        if take(body, where, "net", BYTES, 8, 8) != net:
            raise ChainError("net", "a checkpoint of another network")
        self.data = data
        self.height = take(body, where, "height", INT, 1, 1 << 31)
        self.hash = take(body, where, "hash", BYTES, 32, 32)
        self.counter = take(body, where, "c", INT, 0, MAX_COUNTER)
        self.root = take(body, where, "root", INT, 1, 1 << 31)
        self.times = take(body, where, "times", LIST, min(self.height + 1, 11), min(self.height + 1, 11))
        for time in self.times:
            if not isinstance(time, int) or not 0 <= time <= 1 << 40:
                raise ChainError("times", "seconds since 1970 expected")
        self.signatures = take(body, where, "sigs", LIST, 0, 16)
        check_signatures(self.signatures, where)
        del body["sigs"]
        self._signed = signed_hash("checkpoint", body)

    def check(self, root):  # type: ignore[no-untyped-def]
        """Steps: raise ChainError unless the root's threshold of verification nodes signed it."""
        valid = yield from count_signers(self._signed, self.signatures, root.nodes, root.revoked, root.node_threshold)
        if valid < root.node_threshold:
            raise ChainError(
                "checkpoint",
                "{} of {} verification nodes signed".format(valid, root.node_threshold),
            )

    def link(self) -> Link:
        """What a block on the checkpoint needs to know."""
        return Link(self.height, self.hash, self.counter, self.root, self.times)


def build(net: bytes, link: Link) -> bytes:
    """The encoded checkpoint of a block, not signed yet."""
    return encode(
        {
            "net": net,
            "height": link.height,
            "hash": link.hash,
            "c": link.counter,
            "root": link.root,
            "times": link.times,
            "sigs": [],
        }
    )


def sign(data: bytes, net: bytes, private: bytes):  # type: ignore[no-untyped-def]
    """Steps: the encoded checkpoint with one more verification node's signature."""
    checkpoint = Checkpoint(data, net)
    signer = key_id((yield from steps.public_key(private)))
    signature = yield from steps.sign_digest(private, checkpoint._signed)
    whole = decode_dict(data, "checkpoint", MAX_CHECKPOINT)
    whole["sigs"] = sorted([pair for pair in checkpoint.signatures if pair[0] != signer] + [[signer, signature]])
    return encode(whole)
