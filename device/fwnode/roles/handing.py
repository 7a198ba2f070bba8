"""Handing over one's own M and L, where no verification node can be reached (design: addition 9).

In C2-3 n_j does it for n_i, in C2-1 n_i for n_j, and after a C2-2 that found n_i tampered n_j does it for n_i again.
Whoever receives M believes the vendor's signature on it alone, so nothing here has to be believed.
"""

from fwnode.crypto import equal
from fwnode.roles import SEND
from fwnode.roles.peers import pack
from fwnode.trust import Untrusted
from fwnode.wire import message

# k of the req_metadata that asks for M without a ticket
C2_3 = 2  # n_i's
C2_1 = 3  # n_j's
REPAIR = 4  # n_i's, that C2-2 found tampered: its steps took r + 2 and r + 3


class Handing:
    """One fellow's req_metadata (r + k) and req_download (r + k + 2), each answered with the next r.

    `own` is what this node runs (see fwnode.roles.response); `node` and `asker` are the fellow's ID and public key,
    `id` this node's. `done` once L went out.
    """

    def __init__(self, me, own, id: bytes, node: bytes, asker: bytes, r: int, k: int) -> None:  # type: ignore[no-untyped-def]
        self.me = me
        self.own = own
        self.id = id
        self.node = node
        self.asker = asker
        self.r = r
        self.k = k
        self.done = False

    def receive(self, received: dict, source):  # type: ignore[no-untyped-def]
        """Steps: answer a parsed req_metadata or req_download; raises Untrusted, WireError or InvalidBox."""
        kind = message.kind_of(received)
        k = {"req_metadata": self.k, "req_download": self.k + 2}.get(kind)
        if k is None or received["from"] != self.node or received["to"] != self.id:
            raise Untrusted("id", "{}: of another exchange".format(kind))
        if received["r"] != message.next_r(self.r, k):
            raise Untrusted("r", "{}: r + {} expected".format(kind, k))
        if not (yield from message.verify(received, self.asker)):
            raise Untrusted("signature", "{}: wrong signature".format(kind))
        sealed = yield from message.unseal(self.me.private, received)
        r = message.next_r(self.r, k + 1)
        if kind == "req_metadata":
            known = sealed["d"] == self.me.model.encode()
            data = yield from self._reply("res_metadata", {"m": self.own.metainfo if known else b"", "r": r})
        else:
            if self.own.verifier is None or not equal(sealed["h"], self.own.verifier):
                raise Untrusted("unknown-release", "h: not this node's release")
            ip, port = self.own.address
            listed = pack(self.own.info_hash, [(ip, port, True)])
            data = yield from self._reply("res_download", {"l": listed, "id": self.id, "r": r}, self.own.version)
            self.done = True
        return [(SEND, source, data)]

    def _reply(self, kind: str, sealed: dict, clear: str = ""):  # type: ignore[no-untyped-def]
        reply = message.new(kind, self.me.net, self.id, self.node, sealed["r"])
        if clear:
            reply["v"] = clear.encode()
        yield from message.seal(self.asker, reply, sealed)
        return (yield from message.sign(self.me.private, reply))
