"""Asking for M and L of a newer release without a ticket: n_i in C2-3, n_j in C2-1 (paper 3.3.2).

The one that is asked is a verification node, or, where none can be reached, the fellow that has the newer version
(design: addition 9). Either way only an M that the vendor signed counts.
"""

from fwnode.crypto import InvalidBox
from fwnode.roles import END, SEND, UPDATE
from fwnode.roles.handing import REPAIR
from fwnode.roles.log import FAILED
from fwnode.roles.peers import unpack
from fwnode.trust import Untrusted, version
from fwnode.trust.release import Release
from fwnode.wire import WireError, message

METADATA = "metadata"
DOWNLOAD = "download"
OVER = "over"
ANSWER_MS = 10000
TRIES = 3


class Newer:
    """One such exchange. `r` is that of the request it follows from, `k` C2_1, C2_3 or REPAIR (the same version is
    wanted anew); the asked one is told by its ID, its public key and `source`.
    """

    def __init__(
        self,
        me,
        running: str,
        root,
        clock,
        counters,
        r: int,
        k: int,
        node: bytes,
        public: bytes,
        source,
    ) -> None:  # type: ignore[no-untyped-def]
        self.me = me
        self.running = running
        self.root = root
        self.clock = clock
        self.counters = counters
        self.r = r
        self.k = k
        self.node = node
        self.public = public
        self.source = source
        self.repair = k == REPAIR
        self.id = message.node_id(me.public, r)
        self.state = METADATA
        self.wait_ms = ANSWER_MS
        self.release: Release | None = None
        self._ticket = b""
        self._last = b""
        self._tries = 0

    def begin(self):  # type: ignore[no-untyped-def]
        """Steps: req_metadata with ID, v (or v'), D and r + k sealed, and PU (C2-1 step 7, C2-3 step 5)."""
        sealed = {"id": self.id, "v": self.running.encode(), "d": self.me.model.encode()}
        credential = {self.me.credential[0]: self.me.credential[1]}
        return (yield from self._ask("req_metadata", self.k, sealed, credential))

    def expire(self):  # type: ignore[no-untyped-def]
        """Steps: no answer came within `wait_ms`."""
        if self.state == OVER:
            return []
        if self._tries >= TRIES:
            return self._end("no answer to {} after {} tries".format(self.state, TRIES))
        self._tries += 1
        yield
        return [(SEND, self.source, self._last)]

    def receive(self, data: bytes, source=None):  # type: ignore[no-untyped-def]
        """Steps: take the awaited answer; anything else is counted and changes nothing."""
        try:
            reply = message.parse(data)
            self._cheap(reply)
            if not (yield from message.verify(reply, self.public)):
                raise Untrusted("signature", "{}: wrong signature".format(message.kind_of(reply)))
            sealed = yield from message.unseal(self.me.private, reply)
            reply["box"] = data = b""  # room for what follows; a deleted entry would still hold it
        except (WireError, InvalidBox, Untrusted) as error:
            self.counters.drop(error)
            return []
        try:
            if self.state == METADATA:
                return (yield from self._metadata(reply, sealed))
            return self._peers(sealed)
        except (WireError, Untrusted) as error:
            return self._end(str(error))

    def _cheap(self, reply: dict) -> None:
        kind, k = ("res_metadata", self.k + 1) if self.state == METADATA else ("res_download", self.k + 3)
        if reply["net"] != self.me.net:
            raise Untrusted("network", "net: another network")
        if message.kind_of(reply) != kind or self.state == OVER:
            raise Untrusted("state", "{}: not awaited".format(message.kind_of(reply)))
        if reply["from"] != self.node or reply["to"] != self.id:
            raise Untrusted("id", "{}: of another exchange".format(kind))
        if reply["r"] != message.next_r(self.r, k):
            raise Untrusted("r", "{}: r + {} expected".format(kind, k))

    def _metadata(self, reply: dict, sealed: dict):  # type: ignore[no-untyped-def]
        """C2-1 step 10, C2-3 step 8: H(fv_new) out of an M that the vendor signed for this model."""
        if not sealed["m"]:
            return self._end("none newer is known there")
        release = Release(sealed["m"])
        if release.model != self.me.model:
            raise Untrusted("model", "release: for model {}, this is {}".format(release.model, self.me.model))
        running = version.parse(self.running)
        if release.version_key < running or (release.version_key == running) != self.repair:
            raise Untrusted("version", "release: {} runs here, {} is offered".format(self.running, release.version))
        yield from release.check(self.root, self.clock.now(), None if self.repair else self.me.public)
        self.release = release
        self._ticket = reply.get("ticket", b"")
        sealed = {"id": self.id, "h": release.verifier}
        clear = {"v": release.version.encode()}
        if self._ticket:
            clear["ticket"] = self._ticket
        return (yield from self._ask("req_download", self.k + 2, sealed, clear))

    def _peers(self, sealed: dict) -> list:
        """C2-1 step 14, C2-3 step 12: L is opened; download and install can begin."""
        if sealed["id"] != self.node:
            raise WireError("res_download: its id is not the sender's")
        peers = unpack(sealed["l"], self.release.info_hash)  # type: ignore[union-attr]
        self.state = OVER
        return [(UPDATE, self.release, peers, self.repair)]

    def _ask(self, kind: str, k: int, sealed: dict, clear: dict):  # type: ignore[no-untyped-def]
        sealed["r"] = message.next_r(self.r, k)
        ask = message.new(kind, self.me.net, self.id, self.node, sealed["r"])
        ask.update(clear)
        yield from message.seal(self.public, ask, sealed)
        self._last = yield from message.sign(self.me.private, ask)
        self.state = METADATA if kind == "req_metadata" else DOWNLOAD
        self._tries = 1
        return [(SEND, self.source, self._last)]

    def _end(self, reason: str) -> list:
        self.state = OVER
        return [(END, FAILED, reason)]
