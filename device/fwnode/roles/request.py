"""The request node n_i in C1: C1-1 (newest version, is it untampered?) and C1-2 (a newer one exists), paper 3.3.1.

One object is one exchange. The owner passes on what arrives (`receive`), says that a source failed (`failed`) or that
`wait_ms` went by without anything (`expire`), and carries out the actions that come back.
"""

from fwnode.crypto import InvalidBox, InvalidKey, equal, steps
from fwnode.roles import BROADCAST, END, SEND, UPDATE
from fwnode.roles.log import CURRENT, FAILED
from fwnode.roles.peers import unpack
from fwnode.trust import Untrusted, version
from fwnode.trust.release import Release
from fwnode.wire import WireError, message

# states
ASKED = "asked"
VERIFYING = "verifying"
METADATA = "metadata"
DOWNLOAD = "download"
OVER = "over"

WINDOW_MS = 2000
ANSWER_MS = 10000
TRIES = 3
KINDS = {
    "res_verchk": ASKED,
    "res_verification": VERIFYING,
    "res_metadata": METADATA,
    "res_download": DOWNLOAD,
}


class Answer:
    """One verification node's answer to `req_verchk`."""

    def __init__(self, source, node: bytes, public: bytes, newest: str, metainfo: bytes, ticket: bytes) -> None:  # type: ignore[no-untyped-def]
        self.source = source
        self.node = node
        self.public = public
        self.newest = newest
        self.key = version.parse(newest)
        self.metainfo = metainfo
        self.ticket = ticket


class Request:
    """One exchange of n_i.

    `measure()` gives steps that return H(fv) of the running firmware; `clock` is as fwnode.clock.Clock; `known` is the
    verifier in n_i's own vendor-signed M, when it has one; `asked` is how many verification nodes are asked.
    """

    def __init__(
        self, me, running: str, root, measure, clock, counters, asked: int, r: int, known: bytes | None = None
    ) -> None:  # type: ignore[no-untyped-def]
        self.me = me
        self.running = running
        self.root = root
        self.measure = measure
        self.clock = clock
        self.counters = counters
        self.asked = asked
        self.r = r
        self.known = known
        self.id = message.node_id(me.public, r)
        self.state = ASKED
        self.wait_ms = WINDOW_MS
        self.answer_ms = ANSWER_MS
        self.answers: list = []
        self.silent = 0
        self.with_node = None
        self.verifier: bytes | None = None
        self.expected: bytes | None = None
        self.release: Release | None = None
        self.repair = False
        self.newest_root = root.number
        self.certificate: bytes | None = None  # a fresh one, not checked yet
        self.recalls: list = []  # what the answers tell of recalled releases, not checked yet
        self._k = 0
        self._last: bytes = b""
        self._tries = 0

    # what the owner calls

    def begin(self):  # type: ignore[no-untyped-def]
        """Steps: step 1, broadcast `req_verchk` with PU (in the credential), ID, D, v and r."""
        ask = message.new("req_verchk", self.me.net, self.id, b"", self.r)
        ask["d"] = self.me.model.encode()
        ask["v"] = self.running.encode()
        ask["ts"] = self.clock.told() or 0
        ask["port"] = self.me.port
        ask[self.me.credential[0]] = self.me.credential[1]
        self._last = yield from message.sign(self.me.private, ask)
        self._tries = 1
        return [(BROADCAST, self._last)]

    def receive(self, data: bytes, source):  # type: ignore[no-untyped-def]
        """Steps: take a message; whatever is not the awaited one is counted by reason and changes nothing."""
        try:
            reply = message.parse(data)
            self._cheap(reply, source)
            public = self._public(reply)
            if not (yield from message.verify(reply, public)):
                raise Untrusted("signature", "{}: wrong signature".format(message.kind_of(reply)))
            sealed = yield from message.unseal(self.me.private, reply)
            reply["box"] = data = b""  # up to a quarter of what is free; a deleted entry would still hold it
        except (WireError, InvalidBox, Untrusted) as error:
            self.counters.drop(error)
            return []
        # the signature binds ts to this exchange's r, so it is fresh; the root's end is the most that it can tell
        if "ts" in reply:
            self.clock.learn(min(reply["ts"], self.root.expires + 1))
        self.newest_root = max(self.newest_root, reply.get("root", 0))
        self.certificate = reply.get("cert", self.certificate)
        if "recall" in reply:
            self.recalls.append(reply["recall"])
        try:
            return (yield from self._accept(reply, sealed, public, source))
        except (WireError, Untrusted, InvalidKey) as error:
            return self._end(FAILED, str(error))

    def failed(self, source):  # type: ignore[no-untyped-def]
        """Steps: `source` cannot be reached or answered with an error."""
        if self.state == ASKED:
            self.silent += 1
            if len(self.answers) + self.silent >= self.asked:
                return (yield from self._decide())
        return []

    def expire(self):  # type: ignore[no-untyped-def]
        """Steps: nothing came within `wait_ms`: decide on what there is, ask again, or end with an error."""
        if self.state == OVER:
            return []
        if self.state == ASKED and self.answers:
            return (yield from self._decide())
        if self._tries >= TRIES:
            return self._end(FAILED, "no answer to {} after {} tries".format(self.state, TRIES))
        self._tries += 1
        self.silent = 0
        if self.state == ASKED:
            return [(BROADCAST, self._last)]
        return [(SEND, self.with_node.source, self._last)]

    # the checks

    def _cheap(self, reply: dict, source) -> None:  # type: ignore[no-untyped-def]
        kind = message.kind_of(reply)
        if reply["net"] != self.me.net:
            raise Untrusted("network", "{}: another network".format(kind))
        if reply["to"] != self.id:
            raise Untrusted("id", "{}: not for this exchange".format(kind))
        if KINDS.get(kind) != self.state:
            raise Untrusted("state", "{}: not awaited".format(kind))
        if reply["r"] != message.next_r(self.r, self._k + 1):
            raise Untrusted("r", "{}: r + {} expected".format(kind, self._k + 1))
        if self.state != ASKED and reply["from"] != self.with_node.node:
            raise Untrusted("id", "{}: not from the node that was asked".format(kind))
        if self.state == ASKED and any(answer.node == reply["from"] for answer in self.answers):
            raise Untrusted("replay", "{}: answered already".format(kind))

    def _public(self, reply: dict) -> bytes:
        public = self.root.node_key(reply["from"])
        if public is None:
            raise Untrusted("sender", "{}: not a verification node of root {}".format(reply["t"], self.root.number))
        return public

    # the steps of C1-1 and C1-2

    def _accept(self, reply: dict, sealed: dict, public: bytes, source):  # type: ignore[no-untyped-def]
        if self.state == ASKED:
            return (yield from self._answered(reply, sealed, public, source))
        if self.state == VERIFYING:
            return (yield from self._compare(sealed))
        if self.state == METADATA:
            return (yield from self._metadata(reply, sealed))
        return self._peers(sealed)

    def _answered(self, reply: dict, sealed: dict, public: bytes, source):  # type: ignore[no-untyped-def]
        if sealed["id"] != reply["from"] or "ticket" not in reply:
            raise WireError("res_verchk: its id is not the sender's, or it has no ticket")
        newest = sealed["v"].decode()
        self.answers.append(Answer(source, reply["from"], public, newest, sealed.get("m", b""), reply["ticket"]))
        if len(self.answers) + self.silent >= self.asked:
            return (yield from self._decide())
        return []

    def _decide(self):  # type: ignore[no-untyped-def]
        """The newest answer first; one that does not hold is passed over for the next."""
        running = version.parse(self.running)
        reason = "no verification node answered"
        for answer in sorted(self.answers, key=lambda answer: answer.key, reverse=True):
            self.with_node = answer
            try:
                yield from steps.precompute(answer.public)  # pays within this very exchange
            except MemoryError:
                pass  # it only takes longer
            if answer.key == running:
                return (yield from self._verify(answer))
            if answer.key < running:
                reason = "the verification node knows {} at most, {} runs here".format(answer.newest, self.running)
                continue
            try:
                yield from self._check_release(answer.metainfo, answer.newest, self.me.public)
            except (WireError, Untrusted) as error:
                self.counters.count("release")
                reason = str(error)
                continue
            return (yield from self._ask_peers(2))
        if not self.answers:
            return []
        return self._end(FAILED, reason)

    def _verify(self, answer: Answer):  # type: ignore[no-untyped-def]
        """C1-1 steps 4 and 5: generate H(fv), send it sealed with r + 2."""
        self.verifier = yield from self.measure()
        return (yield from self._ask("req_verification", VERIFYING, 2, {"h": self.verifier}, answer.ticket))

    def _compare(self, sealed: dict):  # type: ignore[no-untyped-def]
        """C1-1 step 8: equal verifiers end it; else the same version is downloaded anew."""
        self.expected = sealed["h"]
        genuine = self.known is None or equal(self.known, self.verifier)
        if genuine and equal(self.expected, self.verifier):
            return self._end(CURRENT, "")
        self.repair = True
        asked = {"id": self.id, "v": self.running.encode(), "d": self.me.model.encode()}
        return (yield from self._ask("req_metadata", METADATA, 4, asked, self.with_node.ticket))

    def _metadata(self, reply: dict, sealed: dict):  # type: ignore[no-untyped-def]
        if "ticket" not in reply:
            raise WireError("res_metadata: field ticket is missing")
        self.with_node.ticket = reply["ticket"]
        yield from self._check_release(sealed["m"], self.running)
        if equal(self.release.verifier, self.verifier):
            raise Untrusted("disputed", "the verification node's verifier is not the one that the vendor signed")
        return (yield from self._ask_peers(6))

    def _check_release(self, metainfo: bytes, wanted: str, public: bytes | None = None):  # type: ignore[no-untyped-def]
        """H(fv_new) counts only out of an M that the vendor signed for this model; `public` must be in its wave."""
        if not metainfo:
            raise WireError("m: empty")
        release = Release(metainfo)
        if release.model != self.me.model:
            raise Untrusted("model", "release: for model {}, this is {}".format(release.model, self.me.model))
        if release.version != wanted:
            raise Untrusted("version", "release: {} announced, {} in M".format(wanted, release.version))
        yield from release.check(self.root, self.clock.now(), public)
        self.release = release

    def _ask_peers(self, k: int):  # type: ignore[no-untyped-def]
        """C1-2 step 5: send ID and H(fv_new) sealed, v_new in clear, to get L."""
        asked = {"id": self.id, "h": self.release.verifier}
        ticket = self.with_node.ticket
        return (yield from self._ask("req_download", DOWNLOAD, k, asked, ticket, self.release.version))

    def _peers(self, sealed: dict) -> list:
        """C1-2 step 8: L is opened; download and install can begin."""
        if sealed["id"] != self.with_node.node:
            raise WireError("res_download: its id is not the sender's")
        peers = unpack(sealed["l"], self.release.info_hash)
        self.state = OVER
        return [(UPDATE, self.release, peers, self.repair)]

    def _ask(self, kind: str, state: str, k: int, sealed: dict, ticket: bytes, clear_version: str | None = None):  # type: ignore[no-untyped-def]
        sealed["r"] = message.next_r(self.r, k)
        ask = message.new(kind, self.me.net, self.id, self.with_node.node, sealed["r"])
        ask["ticket"] = ticket
        if clear_version:
            ask["v"] = clear_version.encode()
        yield from message.seal(self.with_node.public, ask, sealed)
        self._last = yield from message.sign(self.me.private, ask)
        self.state = state
        self.wait_ms = ANSWER_MS
        self._k = k
        self._tries = 1
        return [(SEND, self.with_node.source, self._last)]

    def _end(self, outcome: str, reason: str) -> list:
        self.state = OVER
        return [(END, outcome, reason)]
