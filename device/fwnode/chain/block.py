"""A block: a signed head (see fwnode.chain.head) with its verification field `f` (paper 3.2).

The field: `by` the signer's key ID, `c` the verification counter (0 in a verification node's
block), `l` 0 to 16 verification logs, `m` a release record (then, and only then, `l` may be empty).
The merkle tree is recomputed: its leaves are by, c and the trust root's number as one dictionary,
then the logs, then the release record. The header's size counts the header and the encoded field.
"""

from fwnode.chain import ChainError, merkle
from fwnode.chain import header as headers
from fwnode.chain.head import MAX_BLOCK, MAX_COUNTER, Head, Link
from fwnode.chain.log import Log
from fwnode.chain.pow import mine
from fwnode.chain.record import ReleaseRecord
from fwnode.compat import const
from fwnode.crypto import steps
from fwnode.trust.document import BYTES, INT, LIST, only, take
from fwnode.wire import bencode
from fwnode.wire.bencode import encode
from fwnode.wire.message import SIGN_PREFIX, digest, key_id

MAX_LOGS = const(16)


class Block(Head):
    """A decoded block. Shape, size, root and the logs' shape are checked, no more."""

    def _field(self, field, net: bytes) -> None:  # type: ignore[no-untyped-def]
        where = "field"
        if not isinstance(field, dict):
            raise ChainError("field", "a block comes with its verification field")
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
        size = headers.SIZE + bencode.size(field)
        if self.header.size != size:
            raise ChainError("size", "the header says {}, the block has {}".format(self.header.size, size))
        if merkle.root(leaves(field, self.root)) != self.header.root:
            raise ChainError("root", "the merkle root is not that of the records")
        self.field = field
        self.release = None
        self.logs = [Log(log, net) for log in logs]
        if "m" in field:
            self.release = ReleaseRecord(take(field, where, "m", BYTES, 1, MAX_BLOCK))

    def encode(self) -> bytes:
        """The block as it travels."""
        whole = dict(self.body)
        whole["f"] = self.field
        return encode(whole)

    def leaves(self) -> list:
        """The leaves of the merkle tree, as bytes; leaf 0 is the field's own, leaf i + 1 is log i."""
        return leaves(self.field, self.root)

    def check_counter(self, parent: Link, authority) -> None:  # type: ignore[no-untyped-def]
        """Raise ChainError unless the verification counter follows from the nearest normal
        ancestor's (paper 3.2).
        """
        if authority.node(self.body):
            own, branch = 0, parent.counter
        else:
            own = branch = parent.counter + sum(1 for log in self.logs if log.success)
        if self.own_counter != own:
            raise ChainError("counter", "{}, {} expected".format(self.own_counter, own))
        if self.counter != branch:
            raise ChainError("counter", "the head says {}, {} expected".format(self.counter, branch))

    def _check_signer(self, public: bytes, node: bool) -> None:
        if self.by != key_id(public):
            raise ChainError("by", "the signer is not the one that the field names")
        if self.release is not None and not node:
            raise ChainError("release", "a normal node's block announces none")

    def check_records(self, authority, difficulty: int):  # type: ignore[no-untyped-def]
        """Steps: the logs' keys (see Log.key), in order; raises ChainError or Untrusted unless
        every record is good.
        """
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
    """The 88 bytes of a header over `field` on `parent`, without work; the time is raised above the
    median.
    """
    header = headers.Header(
        headers.SIZE + bencode.size(field),
        parent.hash,
        merkle.root(leaves(field, root)),
        max(time, headers.median(parent.times) + 1),
        difficulty,
    )
    return header.encode()


def verification_field(public: bytes, node: bool, parent: Link, logs: list, release=None) -> dict:  # type: ignore[no-untyped-def]
    """The field of a block by the owner of `public`; `logs` are Log, `release` the encoded release
    record.
    """
    counter = 0 if node else parent.counter + sum(1 for log in logs if log.success)
    field = {"by": key_id(public), "c": counter, "l": [log.data for log in logs]}
    if release is not None:
        field["m"] = release
    return field


def signed(private: bytes, net: bytes, head: bytes, counter: int, root: int, sender: dict):  # type: ignore[no-untyped-def]
    """Steps: the signed head as a dictionary; `sender` is {"cert": …} or {"pu": …}, `counter` the branch's after this
    block.
    """
    body = dict(sender)
    body["t"] = b"head"
    body["net"] = net
    body["head"] = head
    body["c"] = counter
    body["root"] = root
    body["sig"] = yield from steps.sign_digest(private, digest(SIGN_PREFIX, body))
    return body


def whole(body: dict, field: dict) -> dict:
    """The block of a signed head and its field; raises ChainError when it is too large."""
    block = dict(body)
    block["f"] = field
    length = bencode.size(block)
    if length > MAX_BLOCK:
        raise ChainError("block", "{} bytes, limit {}".format(length, MAX_BLOCK))
    return block


def sign(private: bytes, net: bytes, head: bytes, counter: int, root: int, sender: dict, field: dict):  # type: ignore[no-untyped-def]
    """Steps: the encoded block; see `signed`."""
    return encode(whole((yield from signed(private, net, head, counter, root, sender)), field))


def mined(private: bytes, sender: dict, genesis, parent: Link, time: int, root: int, field: dict):  # type: ignore[no-untyped-def]
    """Steps: the signed head of a block over `field` (see verification_field), mined on `parent`.

    `sender` is {"cert": …} or {"pu": …}; `time` in seconds since 1970; `root` the number of the
    trust root in force.
    """
    difficulty = genesis.difficulty
    counter = parent.counter if "pu" in sender and field["c"] == 0 else field["c"]
    head = None
    while head is None:  # when every nonce was tried, another time gives another header
        head = yield from mine(assemble(parent, time, difficulty, root, field), difficulty)
        time = max(time, parent.times[-1]) + 1
    return (yield from signed(private, genesis.net, head, counter, root, sender))


def make(private: bytes, sender: dict, genesis, parent: Link, time: int, root: int, field: dict):  # type: ignore[no-untyped-def]
    """Steps: the encoded block; see `mined`."""
    return encode(whole((yield from mined(private, sender, genesis, parent, time, root, field)), field))
