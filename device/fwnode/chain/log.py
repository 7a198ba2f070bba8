"""A verification log as a block keeps it (paper 3.2): the whole signed `verification_log` message, so that anybody can
verify it later.

Time `ts`, request ID `req`, response ID `res`, outcome `o`, model `d`, version `v`, verifier `h`, the signer's
certificate (or `pu`) and signature. Each is one leaf of the merkle tree.
"""

from fwnode.chain import ChainError
from fwnode.chain.pow import check_confirmation
from fwnode.compat import const
from fwnode.wire import message

MAX_LOG = const(960)  # bytes of one encoded verification log

CONFIRMED = "confirmed"  # of a confirming node's log (C2-2 step 3)
SUCCESSES = ("current", "updated", "repaired", CONFIRMED)
FAILURES = ("tampered", "failed", "rolled-back")
ANSWERED = "answered"  # quiet C2 (addition 8): a broadcast only, never in a block


class Log:
    """One verification log, its shape checked, its signature not."""

    def __init__(self, data: bytes, net: bytes) -> None:
        """Parse the encoded verification_log; raises ChainError or WireError naming field and
        limit.
        """
        if len(data) > MAX_LOG:
            raise ChainError("log", "{} bytes, limit {}".format(len(data), MAX_LOG))
        body = message.parse(data)
        if body["t"] != b"verification_log":
            raise ChainError("log", "a verification_log expected, got {}".format(body["t"].decode()))
        if body["net"] != net:
            raise ChainError("net", "a log of another network")
        self.data = data
        self.body = body
        self.request = body["req"]
        self.response = body["res"]
        self.time = body["ts"]
        self.model = _text(body, "d")
        self.version = _text(body, "v")
        self.verifier = body["h"]
        self.outcome = _text(body, "o")
        if self.outcome not in SUCCESSES and self.outcome not in FAILURES:
            raise ChainError("outcome", "{} does not belong in a block".format(self.outcome))
        confirms = self.outcome == CONFIRMED
        if ("join" in body and "nonce" in body) != confirms or ("join" in body) != ("nonce" in body):
            raise ChainError("outcome", "join and nonce belong to {}, and to it alone".format(CONFIRMED))
        if (body["from"] == self.request) == confirms:
            raise ChainError("from", "the request node logs its own exchange, others confirm")

    @property
    def success(self) -> bool:
        """Whether the verification counter counts it."""
        return self.outcome in SUCCESSES

    def key(self, public: bytes) -> bytes:
        """Request ID, response ID and signer's key ID: 60 bytes that stand once in a branch."""
        return self.request + self.response + message.key_id(public)

    def check(self, authority, at: int, difficulty: int):  # type: ignore[no-untyped-def]
        """Steps: the signer's public key; raises ChainError or Untrusted. `at` is the time that a
        certificate must see.
        """
        body = self.body
        public, node = authority.claim(body)
        own = message.key_id(public) if node else message.node_id(public, body["r"])
        if body["from"] != own:
            raise ChainError("from", "the ID is not made from the signer's key and r")
        if self.outcome == CONFIRMED:
            check_confirmation(body["join"], public, body["nonce"], difficulty)
        yield from authority.check(body, at, self.model)
        if not (yield from message.verify(body, public)):
            raise ChainError("signature", "the log's signature is wrong")
        return public


def _text(body: dict, name: str) -> str:
    raw = body[name]
    for byte in raw:
        if not 0x21 <= byte < 0x7F:
            raise ChainError(name, "byte 0x{:02x} is not printable ASCII".format(byte))
    return raw.decode()
