"""A block: header, verification field, and outside the header the signature and certificate, bound to its hash.

Encoded it is one canonical bencoded dictionary:

    t      "head"
    net    first 8 bytes of the genesis block's hash
    head   the 88 bytes of the header
    c      the branch's verification counter after this block (that of the nearest normal block, this one included)
    root   the number of the trust root that it is signed under; it never falls along a branch
    cert   the signer's certificate, or `pu`: a verification node's key (any key where enrolment is open)
    sig    ECDSA over ``fwchain/1`` NUL and the dictionary without `sig` and `f`
    f      the verification field; without it the dictionary announces the block: a signed head

The verification field: `by` the signer's key ID, `c` the verification counter (0 in a verification node's block), `l`
0 to 16 verification logs, `m` a release record (then, and only then, `l` may be empty). The merkle tree is recomputed:
its leaves are by, c and root as one dictionary, then the logs, then the release record. The header's size counts the
header and the encoded field.
"""

from fwnode.chain import ChainError
from fwnode.chain import header as headers
from fwnode.chain import merkle
from fwnode.chain.pow import mine
from fwnode.chain.record import Log, ReleaseRecord
from fwnode.compat import const
from fwnode.crypto import steps
from fwnode.trust.document import BYTES, DICT, INT, LIST, only, take
from fwnode.wire.bencode import decode_dict, encode
from fwnode.wire.message import SIGN_PREFIX, key_id

MAX_BLOCK = const(12000)  # bytes of one encoded block, as the message `block` can carry it
MAX_HEAD = const(768)  # bytes of a signed head without the field
MAX_LOGS = const(16)
MAX_COUNTER = 0xFFFFFFFF
_HEAD = ("t", "net", "head", "c", "root", "cert", "pu", "sig", "f")


class Link:
    """What a block needs to know of its parent's branch."""

    def __init__(self, height, hash, counter, root, times):  # type: ignore[no-untyped-def]
        self.height = height
        self.hash = hash
        self.counter = counter  # of the nearest normal block, 0 when there is none
        self.root = root  # number of the trust root
        self.times = times  # of up to 11 headers, the parent's last


class Block:
    """A decoded block, or a signed head alone (then `logs` is None). Shape, size and root are checked, no more."""

    def __init__(self, data: bytes, net: bytes) -> None:
        """Decode; raises ChainError or WireError naming field and limit."""
        body = decode_dict(data, "block", MAX_BLOCK)
        only(body, "block", _HEAD)
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
        self.logs = None
        self.release = None
        field = body.pop("f", None)
        self.body = body  # the signed head
        if field is not None:
            if not isinstance(field, dict):
                raise ChainError("field", "a dictionary expected")
            self._field(field, net)
        elif len(data) > MAX_HEAD:
            raise ChainError("block", "a signed head of {} bytes, limit {}".format(len(data), MAX_HEAD))

    def _field(self, field: dict, net: bytes) -> None:
        where = "field"
        only(field, where, ("by", "c", "l", "m"))
        self.by = take(field, where, "by", BYTES, 20, 20)
        self.own_counter = take(field, where, "c", INT, 0, MAX_COUNTER)
        logs = take(field, where, "l", LIST, 0, 1 << 20)
        if len(logs) > MAX_LOGS:
            raise ChainError("logs", "{} verification logs, limit {}".format(len(logs), MAX_LOGS))
        if not logs and "m" not in field:
            raise ChainError("logs", "no verification log, at least 1 expected")
        for log in logs:
            if not isinstance(log, bytes):
                raise ChainError("logs", "a string expected")
        size = headers.SIZE + len(encode(field))
        if self.header.size != size:
            raise ChainError("size", "the header says {}, the block has {}".format(self.header.size, size))
        if merkle.root(leaves(field, self.root)) != self.header.root:
            raise ChainError("root", "the merkle root is not that of the records")
        self.field = field
        self.logs = [Log(log, net) for log in logs]
        if "m" in field:
            self.release = ReleaseRecord(take(field, where, "m", BYTES, 1, MAX_BLOCK))

    def encode(self) -> bytes:
        """The block as it travels; a signed head when it came without its field."""
        if self.logs is None:
            return encode(self.body)
        whole = dict(self.body)
        whole["f"] = self.field
        return encode(whole)

    def announcement(self) -> bytes:
        """The signed head alone."""
        return encode(self.body)

    def leaves(self) -> list:
        """The leaves of the merkle tree, as bytes; leaf 0 is the field's own, leaf i + 1 is log i."""
        return leaves(self.field, self.root)

    def check_parent(self, parent: Link, difficulty: int, now) -> None:  # type: ignore[no-untyped-def]
        """Raise ChainError unless previous hash, difficulty, work, time and root number follow from the parent."""
        if self.header.previous != parent.hash:
            raise ChainError("previous", "it does not name its parent")
        headers.check_work(self.head, difficulty)
        headers.check_time(self.header.time, parent.times, now)
        if self.root < parent.root:
            raise ChainError("trust root", "number {}, the parent has {}".format(self.root, parent.root))

    def check_counter(self, parent: Link, authority) -> None:  # type: ignore[no-untyped-def]
        """Raise ChainError unless the verification counter follows from the nearest normal ancestor's (paper 3.2)."""
        if authority.node(self.body):
            own, branch = 0, parent.counter
        else:
            own = branch = parent.counter + sum(1 for log in self.logs if log.success)
        if self.own_counter != own:
            raise ChainError("counter", "{}, {} expected".format(self.own_counter, own))
        if self.counter != branch:
            raise ChainError("counter", "the head says {}, {} expected".format(self.counter, branch))

    def check_head(self, authority):  # type: ignore[no-untyped-def]
        """Steps: the signer's public key; raises ChainError or Untrusted unless he may sign and did."""
        if self.root > authority.root.number:
            raise ChainError("trust root", "number {}, {} is the newest here".format(self.root, authority.root.number))
        public, node = authority.claim(self.body)
        if self.logs is not None:
            if self.by != key_id(public):
                raise ChainError("by", "the signer is not the one that the field names")
            if self.release is not None and not node:
                raise ChainError("release", "a normal node's block announces none")
        yield from authority.check(self.body, self.header.time)
        unsigned = {key: value for key, value in self.body.items() if key != "sig"}
        if not (yield from steps.verify(public, SIGN_PREFIX + encode(unsigned), self.body["sig"])):
            raise ChainError("signature", "the block's signature is wrong")
        return public

    def check_records(self, authority, difficulty: int):  # type: ignore[no-untyped-def]
        """Steps: the logs' keys (see Log.key), in order; raises ChainError or Untrusted unless every record is good."""
        at = self.header.time
        keys = []
        for log in self.logs:
            if log.time > at + headers.AHEAD_S:
                raise ChainError("ts", "a log's time {} is ahead of the block's, {}".format(log.time, at))
            key = log.key(authority.claim(log.body)[0])
            if key in keys:
                raise ChainError("log", "request ID, response ID and signer stand twice")
            keys.append(key)
        for log in self.logs:
            yield from log.check(authority, at, difficulty)
        if self.release is not None:
            yield from self.release.check(authority.root)
        return keys


def leaves(field: dict, root: int) -> list:
    """The leaves of a verification field's merkle tree; `root` is the trust root's number."""
    own = {"t": "field", "by": field["by"], "c": field["c"], "root": root}
    found = [encode(own)] + list(field["l"])
    if "m" in field:
        found.append(field["m"])
    return found


def assemble(parent: Link, time: int, difficulty: int, root: int, field: dict) -> bytes:
    """The 88 bytes of a header over `field` on `parent`, without work; the time is raised above the median."""
    header = headers.Header(
        headers.SIZE + len(encode(field)),
        parent.hash,
        merkle.root(leaves(field, root)),
        max(time, headers.median(parent.times) + 1),
        difficulty,
    )
    return header.encode()


def verification_field(public: bytes, node: bool, parent: Link, logs: list, release=None) -> dict:  # type: ignore[no-untyped-def]
    """The field of a block by the owner of `public`; `logs` are Log, `release` the encoded release record."""
    counter = 0 if node else parent.counter + sum(1 for log in logs if log.success)
    field = {"by": key_id(public), "c": counter, "l": [log.data for log in logs]}
    if release is not None:
        field["m"] = release
    return field


def sign(private: bytes, net: bytes, head: bytes, counter: int, root: int, sender: dict, field: dict):  # type: ignore[no-untyped-def]
    """Steps: the encoded block; `sender` is {"cert": …} or {"pu": …}, `counter` the branch's after this block."""
    body = dict(sender)
    body["t"] = b"head"
    body["net"] = net
    body["head"] = head
    body["c"] = counter
    body["root"] = root
    body["sig"] = yield from steps.sign(private, SIGN_PREFIX + encode(body))
    body["f"] = field
    data = encode(body)
    if len(data) > MAX_BLOCK:
        raise ChainError("block", "{} bytes, limit {}".format(len(data), MAX_BLOCK))
    return data


def make(private: bytes, sender: dict, genesis, parent: Link, time: int, root: int, field: dict):  # type: ignore[no-untyped-def]
    """Steps: mine and sign a block over `field` (see verification_field); the encoded block.

    `sender` is {"cert": …} or {"pu": …}; `time` in seconds since 1970; `root` the number of the trust root in force.
    """
    difficulty = genesis.difficulty
    counter = parent.counter if "pu" in sender and field["c"] == 0 else field["c"]
    mined = None
    while mined is None:  # when every nonce was tried, another time gives another header
        mined = yield from mine(assemble(parent, time, difficulty, root, field), difficulty)
        time = max(time, parent.times[-1]) + 1
    return (yield from sign(private, genesis.net, mined, counter, root, sender, field))
