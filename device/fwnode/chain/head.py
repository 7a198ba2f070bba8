"""A block's signed head: the header with, outside it and bound to its hash, signature and
certificate.

Encoded it is one canonical bencoded dictionary:

    t      "head"
    net    first 8 bytes of the genesis block's hash
    head   the 88 bytes of the header
    c      the branch's verification counter after this block (that of the nearest normal block,
    this one included)
    root   the number of the trust root that it is signed under; it never falls along a branch
    cert   the signer's certificate, or `pu`: a verification node's key (any key where enrolment is
    open)
    sig    ECDSA over ``fwchain/1`` NUL and the dictionary without `sig` and `f`
    f      the verification field (see fwnode.chain.block); without it the dictionary announces the
    block
"""

from fwnode.chain import ChainError
from fwnode.chain import header as headers
from fwnode.compat import const
from fwnode.crypto import steps
from fwnode.trust.document import BYTES, INT, only, take
from fwnode.wire.bencode import decode_dict, encode
from fwnode.wire.message import SIGN_PREFIX, digest

MAX_BLOCK = const(12000)  # bytes of one encoded block, as the message `block` can carry it
MAX_COUNTER = 0xFFFFFFFF
_NAMES = ("t", "net", "head", "c", "root", "cert", "pu", "sig", "f")


class Link:
    """What a block needs to know of its parent's branch."""

    def __init__(self, height, hash, counter, root, times):  # type: ignore[no-untyped-def]
        self.height = height
        self.hash = hash
        self.counter = counter  # of the nearest normal block, 0 when there is none
        self.root = root  # number of the trust root
        self.times = times  # of up to 11 headers, the parent's last


class Head:
    """A decoded signed head; a verification field that comes with it is dropped. Shape is checked,
    no more.
    """

    def __init__(self, data: bytes, net: bytes) -> None:
        """Decode; raises ChainError or WireError naming field and limit."""
        body = decode_dict(data, "block", MAX_BLOCK)
        only(body, "block", _NAMES)
        if body.get("t") != b"head":
            raise ChainError("block", "type head expected")
        if take(body, "block", "net", BYTES, 8, 8) != net:
            raise ChainError("net", "a block of another network")
        self.head = take(body, "block", "head", BYTES, 1, 400)
        self.header = headers.decode(self.head)
        self.hash = headers.hash_of(self.head)
        self.counter = take(body, "block", "c", INT, 0, MAX_COUNTER)
        self.root = take(body, "block", "root", INT, 1, 1 << 31)
        if "cert" in body:
            take(body, "block", "cert", BYTES, 1, 400)
        if "pu" in body:
            take(body, "block", "pu", BYTES, 65, 65)
        take(body, "block", "sig", BYTES, 64, 64)
        self.body = body  # the signed head, once the field is taken out
        self._field(body.pop("f", None), net)

    def _field(self, field, net: bytes) -> None:  # type: ignore[no-untyped-def]
        """What to do with the verification field; here nothing."""

    def announcement(self) -> bytes:
        """The signed head alone, encoded."""
        return encode(self.body)

    def check_parent(self, parent: Link, difficulty: int, now) -> None:  # type: ignore[no-untyped-def]
        """Raise ChainError unless previous hash, difficulty, work, time and root number follow from
        the parent.
        """
        if self.header.previous != parent.hash:
            raise ChainError("previous", "it does not name its parent")
        headers.check_work(self.head, difficulty)
        headers.check_time(self.header.time, parent.times, now)
        if self.root < parent.root:
            raise ChainError("trust root", "number {}, the parent has {}".format(self.root, parent.root))

    def check_head(self, authority):  # type: ignore[no-untyped-def]
        """Steps: (the signer's public key, whether it is a verification node's); raises ChainError
        or Untrusted unless
        he may sign and did."""
        if self.root > authority.root.number:
            raise ChainError(
                "trust root",
                "number {}, {} is the newest here".format(self.root, authority.root.number),
            )
        public, node = authority.claim(self.body)
        self._check_signer(public, node)
        yield from authority.check(self.body, self.header.time)
        unsigned = {key: value for key, value in self.body.items() if key != "sig"}
        if not (yield from steps.verify_digest(public, digest(SIGN_PREFIX, unsigned), self.body["sig"])):
            raise ChainError("signature", "the block's signature is wrong")
        return public, node

    def _check_signer(self, public: bytes, node: bool) -> None:
        """The cheap rules that bind the field to the signer; here none."""
