"""The request node n_i in C2 (paper 3.3.2): what fellow boards answer to its req_verchk.

n_i fixes H(fv') from join_verification and counts the confirmations that it saw itself, before it tells H(fv): an
answerer that echoes H(fv) is found out. Several answers: C2-3 first, then C2-2, then C2-1.
"""

from fwnode.chain import ChainError
from fwnode.chain.confirm import Confirmations
from fwnode.crypto import InvalidBox, equal, sha256
from fwnode.roles import END, SEND
from fwnode.roles.log import CURRENT, FAILED
from fwnode.roles.log import TAMPERED as TAMPERED_LOG
from fwnode.roles.strangers import check_signed, claimed
from fwnode.trust import Untrusted, version
from fwnode.wire import WireError, message

MAX_JOINS = 4  # answerers whose joins are followed at once
MAX_NEWER = 4
MAX_HANDINGS = 4  # fellows with an older version that get M from here


class Fellow:
    """One n_j: its join, what confirmed it, and its answer."""

    def __init__(self, node: bytes, public: bytes) -> None:
        self.node = node
        self.public = public
        self.verifier = b""
        self.confirmations: Confirmations | None = None
        self.source = None
        self.asked = False


class Fellows:
    """n_i's side of C2 for the exchange `request` (fwnode.roles.request.Request, or what has its me, running, clock,
    counters, measure, r, id and verifier).

    `own` is what n_i hands over to a fellow of a lower version (see fwnode.roles.response), None: nothing.
    `newer` lists the fellows of a higher version, for fwnode.roles.newer (C2-3); `older` counts those of a lower one.
    """

    def __init__(self, request, genesis, authority, own=None) -> None:  # type: ignore[no-untyped-def]
        self.request = request
        self.own = own
        self.me = request.me
        self.genesis = genesis
        self.authority = authority
        self.counters = request.counters
        self.joins: dict = {}
        self.newer: list = []
        self.older = 0
        self.newest_root = 0  # the highest number that a certified fellow tells of
        self.root_source = None
        self.handings: list = []
        self.with_fellow: Fellow | None = None
        self.over = False

    def receive(self, data: bytes, source=None):  # type: ignore[no-untyped-def]
        """Steps: take a broadcast or a message of a fellow; what does not hold is counted and changes nothing."""
        try:
            received = message.parse(data)
            if received["net"] != self.me.net:
                raise Untrusted("network", "net: another network")
            kind = message.kind_of(received)
            if kind == "join_verification":
                return (yield from self._join(received, data))
            if kind == "verification_log":
                return (yield from self._confirmed(received, data))
            if received["to"] != self.request.id:
                raise Untrusted("id", "{}: not for this exchange".format(kind))
            if kind in ("req_metadata", "req_download"):
                return (yield from self._hand(received, source))
            if self.over:
                raise Untrusted("state", "{}: not awaited".format(kind))
            if kind == "res_verchk":
                return (yield from self._answered(received, source))
            if kind == "res_verification":
                return (yield from self._compare(received))
            raise Untrusted("state", "{}: not awaited".format(kind))
        except (WireError, InvalidBox, ChainError, Untrusted) as error:
            self.counters.drop(error)
        return []

    def _join(self, join: dict, data: bytes):  # type: ignore[no-untyped-def]
        """C2-2 step 3, seen by n_i: H(fv') is fixed here."""
        if join["id"] != self.request.id:
            return []
        public = claimed(join, self.request.r, self.genesis.certified)
        known = self.joins.get(join["from"])
        if known is not None:
            reason = "replay" if known.verifier == join["h"] else "equivocation"
            raise Untrusted(reason, "join_verification: this node has said already what it runs")
        if len(self.joins) >= MAX_JOINS:
            raise Untrusted("busy", "join_verification: {} are followed already".format(MAX_JOINS))
        if join["v"] != self.request.running.encode() or public == self.me.public:
            raise Untrusted("version", "join_verification: not of the version that was asked about")
        yield from check_signed(join, public, self.authority, self.request.clock.now())
        fellow = Fellow(join["from"], public)
        fellow.verifier = join["h"]
        fellow.confirmations = Confirmations(
            self.authority,
            self.genesis,
            sha256(data),
            self.request.id,
            fellow.node,
            (self.me.model, self.request.running, fellow.verifier),
            (self.me.public, public),
            keep=False,
        )
        self.joins[fellow.node] = fellow
        return []

    def _confirmed(self, log: dict, data: bytes):  # type: ignore[no-untyped-def]
        fellow = self.joins.get(log["res"])
        if fellow is not None and log["req"] == self.request.id and not fellow.confirmations.enough:
            yield from fellow.confirmations.add(data, self.request.clock.now())
        return []

    def _answered(self, reply: dict, source):  # type: ignore[no-untyped-def]
        """Step 4 of C2-1 and C2-3, step 5 of C2-2: r + 1 is checked, v and v' are compared."""
        if reply["r"] != message.next_r(self.request.r, 1):
            raise Untrusted("r", "res_verchk: r + 1 expected")
        public = claimed(reply, self.request.r, self.genesis.certified)
        yield from check_signed(reply, public, self.authority, self.request.clock.now())
        if reply.get("root", 0) > self.newest_root:
            self.newest_root, self.root_source = reply["root"], source
        sealed = yield from message.unseal(self.me.private, reply)
        if sealed["id"] != reply["from"] or sealed.get("pu", public) != public:
            raise WireError("res_verchk: its sealed ID or key is not the sender's")
        theirs, ours = version.parse(sealed["v"]), version.parse(self.request.running)
        if theirs > ours:
            fellow = Fellow(reply["from"], public)
            fellow.source = source
            if len(self.newer) < MAX_NEWER and all(one.public != public for one in self.newer):
                self.newer.append(fellow)
            return []
        if theirs < ours:
            return [(SEND, source, (yield from self._notice(reply["from"], public, sealed["v"])))]
        return (yield from self._verification(reply["from"], public, source))

    def _notice(self, node: bytes, public: bytes, theirs: bytes):  # type: ignore[no-untyped-def]
        """C2-1 step 5: tell n_j that a higher version than v' exists, and be ready to hand it over (addition 9)."""
        self.older += 1
        if self.own is not None and len(self.handings) < MAX_HANDINGS:
            from fwnode.roles.handing import C2_1, Handing  # rare

            request = self.request
            self.handings.append(Handing(self.me, self.own, request.id, node, public, request.r, C2_1))
        notice = message.new("notice_download", self.me.net, self.request.id, node, message.next_r(self.request.r, 2))
        notice["v"] = theirs
        return (yield from message.sign(self.me.private, notice))

    def _hand(self, received: dict, source):  # type: ignore[no-untyped-def]
        for handing in self.handings:
            if handing.node == received["from"]:
                return (yield from handing.receive(received, source))
        raise Untrusted("state", "{}: not awaited".format(message.kind_of(received)))

    def _verification(self, node: bytes, public: bytes, source):  # type: ignore[no-untyped-def]
        """C2-2 steps 5 and 6: only an answerer whose verifier enough others confirmed gets H(fv)."""
        fellow = self.joins.get(node)
        if fellow is None or fellow.public != public:
            raise Untrusted("join", "res_verchk: without a join_verification before")
        if not fellow.confirmations.enough:
            raise Untrusted(
                "confirmations",
                "res_verchk: {} of {} confirmations".format(fellow.confirmations.count, fellow.confirmations.needed),
            )
        if fellow.asked:
            raise Untrusted("replay", "res_verchk: answered already")
        fellow.asked = True
        fellow.source = source
        self.with_fellow = fellow
        request = self.request
        if request.verifier is None:
            request.verifier = yield from request.measure()
        r = message.next_r(request.r, 2)
        ask = message.new("req_verification", self.me.net, request.id, node, r)
        yield from message.seal(public, ask, {"h": request.verifier, "r": r})
        return [(SEND, source, (yield from message.sign(self.me.private, ask)))]

    def _compare(self, reply: dict):  # type: ignore[no-untyped-def]
        """C2-2 step 9: H(fv') must be what was confirmed; then the verifiers are compared."""
        fellow = self.with_fellow
        if fellow is None or reply["from"] != fellow.node:
            raise Untrusted("id", "res_verification: not from the node that was asked")
        if reply["r"] != message.next_r(self.request.r, 3):
            raise Untrusted("r", "res_verification: r + 3 expected")
        if not (yield from message.verify(reply, fellow.public)):
            raise Untrusted("signature", "res_verification: wrong signature")
        sealed = yield from message.unseal(self.me.private, reply)
        self.over = True
        if not equal(sealed["h"], fellow.verifier):
            return [(END, FAILED, "n_j tells another verifier than the one that was confirmed")]
        if equal(sealed["h"], self.request.verifier):
            return [(END, CURRENT, "")]
        return [
            (
                END,
                TAMPERED_LOG,
                "the verifier is not the one that {} nodes confirmed".format(fellow.confirmations.count),
            )
        ]
