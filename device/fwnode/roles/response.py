"""The response node n_j in C2 (paper 3.3.2): it compares v and v', and answers as the three sub-cases have it.

C2-1 (v > v'): res_verchk; n_i's notice_download tells n_j to update itself (fwnode.roles.newer).
C2-2 (v = v'): join_verification; enough confirmations; res_verchk; req_verification; res_verification.
C2-3 (v < v'): res_verchk; where no verification node can be reached n_j hands over its own M, and is the first peer.

Quiet C2 (design: addition 8): n_j waits a random while first, and gives up when n_i says that it is answered. Elliptic
curves come after the wait. One object is one exchange; its owner calls `elapsed` after `wait_ms`.
"""

from fwnode.chain import ChainError
from fwnode.chain.confirm import Confirmations
from fwnode.crypto import InvalidBox, equal, sha256
from fwnode.roles import BROADCAST, END, SEND
from fwnode.roles.log import ANSWERED
from fwnode.roles.strangers import check_signed, check_time, claimed
from fwnode.trust import Untrusted, version
from fwnode.wire import WireError, message

WAITING = "waiting"
JOINED = "joined"
COMPARING = "comparing"
NOTICED = "noticed"
HANDING = "handing"
OVER = "over"

CONFIRM_MS = 30000  # that confirmations get to come
ANSWER_MS = 15000
UNCONFIRMED = "unconfirmed"  # n_j got no confirmations: the owner begins a C1 of its own
OUTDATED = "outdated"  # n_j learned of a newer version: the owner asks for it
TAMPERED = "n_i is tampered"


class Response:
    """n_j's side of one exchange.

    `own` has version, verifier (computed, or None while this firmware is not known to be genuine), metainfo and
    info_hash (of the vendor-signed M, b"" when it has none) and address (its (ip, port) as fellows see it).
    """

    def __init__(self, me, own, genesis, authority, clock, counters) -> None:  # type: ignore[no-untyped-def]
        self.me = me
        self.own = own
        self.genesis = genesis
        self.authority = authority
        self.clock = clock
        self.counters = counters
        self.state = OVER
        self.wait_ms = 0
        self.confirm_ms = CONFIRM_MS
        self.ask: dict = {}
        self.source = None
        self.confirmations: Confirmations | None = None
        self.handing = None  # type: object  # fwnode.roles.handing.Handing

    def consider(self, data: bytes, source, wait_ms: int) -> bool:  # type: ignore[no-untyped-def]
        """Steps 1 and 2, the cheap half: whether this request is to be answered after `wait_ms`.

        `source` is where the answer goes: the datagram's address and the signed port. Raises WireError or Untrusted.
        """
        ask = message.parse(data)
        if message.kind_of(ask) != "req_verchk" or ask["to"]:
            raise Untrusted("type", "a req_verchk to everybody expected")
        if ask["net"] != self.me.net:
            raise Untrusted("network", "net: another network")
        if ask["d"] != self.me.model.encode():
            raise Untrusted("model", "d: another model")
        public = claimed(ask, ask["r"], self.genesis.certified)
        if public == self.me.public:
            raise Untrusted("own", "req_verchk: this node's own")
        check_time(ask["ts"], self.clock.told())
        version.parse(ask["v"])
        self.ask = ask
        self.asked = data
        self.asker = public
        self.source = source
        self.r = ask["r"]
        self.id = message.node_id(self.me.public, self.r)
        self.state = WAITING
        self.wait_ms = wait_ms
        return True

    def elapsed(self):  # type: ignore[no-untyped-def]
        """Steps: `wait_ms` went by. After the quiet wait: verify the request and begin; later: give up."""
        if self.state != WAITING:
            return self._late()
        try:
            yield from check_signed(self.ask, self.asker, self.authority, self.clock.now())
        except Untrusted as error:
            self.counters.count(error.reason)
            return self._end("dropped", str(error))
        theirs, ours = version.parse(self.ask["v"]), version.parse(self.own.version)
        if theirs == ours:
            return (yield from self._join())
        self.wait_ms = ANSWER_MS
        self.state = NOTICED if theirs > ours else HANDING
        if self.state == HANDING:
            self._hand(False)
        return [(SEND, self.source, (yield from self._res_verchk()))]

    def _late(self) -> list:
        if self.state == OVER:
            return []
        if self.state == HANDING and self.confirmations is not None:
            return self._end(ANSWERED, TAMPERED)
        if self.state == JOINED:
            return self._end(UNCONFIRMED, "no confirmations in time")
        return self._end("failed", "no answer of n_i in time")

    def _hand(self, repair: bool) -> None:
        """Addition 9: be ready to hand over one's own M."""
        from fwnode.roles.handing import C2_3, REPAIR, Handing  # rare

        self.state = HANDING
        self.wait_ms = ANSWER_MS
        self.handing = Handing(
            self.me, self.own, self.id, self.ask["from"], self.asker, self.r, REPAIR if repair else C2_3
        )

    def receive(self, data: bytes, source=None):  # type: ignore[no-untyped-def]
        """Steps: a message of this exchange, or a broadcast log; what does not belong is only counted."""
        try:
            received = message.parse(data)
            if received["net"] != self.me.net:
                raise Untrusted("network", "net: another network")
            if message.kind_of(received) == "verification_log":
                return (yield from self._log(received, data))
            return (yield from self._step(received))
        except (WireError, InvalidBox, ChainError, Untrusted) as error:
            self.counters.drop(error)
        return []

    # C2-2

    def _join(self):  # type: ignore[no-untyped-def]
        """C2-2 step 3: ask the others to join the verification, with n_i's request inside."""
        if self.own.verifier is None:
            return self._end("dropped", "this node's own firmware is not known to be genuine")
        join = message.new("join_verification", self.me.net, self.id, b"", self.r)
        join["id"] = self.ask["from"]
        join["d"] = self.ask["d"]
        join["v"] = self.ask["v"]
        join["h"] = self.own.verifier
        join["ts"] = self.clock.told() or 0
        join["port"] = self.me.port
        join["ask"] = self.asked
        join[self.me.credential[0]] = self.me.credential[1]
        data = yield from message.sign(self.me.private, join)
        self.confirmations = Confirmations(
            self.authority,
            self.genesis,
            sha256(data),
            self.ask["from"],
            self.id,
            (self.me.model, self.own.version, self.own.verifier),
            (self.asker, self.me.public),
        )
        self.state = JOINED
        self.wait_ms = self.confirm_ms
        return [(BROADCAST, data)]

    def _log(self, log: dict, data: bytes):  # type: ignore[no-untyped-def]
        if log["req"] != self.ask.get("from"):
            return []
        if log["o"] == ANSWERED.encode():
            return [] if log["res"] == self.id else (yield from self._quiet(log))  # who is named goes on
        if self.state != JOINED:
            return []
        yield from self.confirmations.add(data, self.clock.now())
        if not self.confirmations.enough:
            return []
        self.state = COMPARING
        self.wait_ms = ANSWER_MS
        return [(SEND, self.source, (yield from self._res_verchk()))]

    def _quiet(self, log: dict):  # type: ignore[no-untyped-def]
        """Addition 8: n_i says that it is answered; only its own word counts, and not when it names this node."""
        if log["res"] == self.id:
            return []
        if log["from"] != self.ask["from"] or not (yield from message.verify(log, self.asker)):
            raise Untrusted("signature", "verification_log: not n_i's")
        return self._end("quiet", "n_i is answered")

    def _res_verchk(self):  # type: ignore[no-untyped-def]
        """Step 3 of C2-1 and C2-3, step 4 of C2-2: v', r + 1, ID of n_j (and PU) sealed to n_i."""
        r = message.next_r(self.r, 1)
        reply = message.new("res_verchk", self.me.net, self.id, self.ask["from"], r)
        reply["port"] = self.me.port
        reply["root"] = self.authority.root.number
        reply[self.me.credential[0]] = self.me.credential[1]
        sealed = {"v": self.own.version.encode(), "r": r, "id": self.id, "pu": self.me.public}
        yield from message.seal(self.asker, reply, sealed)
        return (yield from message.sign(self.me.private, reply))

    # what n_i sends back

    def _step(self, received: dict):  # type: ignore[no-untyped-def]
        kind = message.kind_of(received)
        if self.state == HANDING and kind in ("req_metadata", "req_download"):
            return (yield from self._handed(received))
        if (kind, self.state) not in (("req_verification", COMPARING), ("notice_download", NOTICED)):
            raise Untrusted("state", "{}: not awaited".format(kind))
        if received["from"] != self.ask["from"] or received["to"] != self.id:
            raise Untrusted("id", "{}: of another exchange".format(kind))
        if received["r"] != message.next_r(self.r, 2):
            raise Untrusted("r", "{}: r + 2 expected".format(kind))
        if not (yield from message.verify(received, self.asker)):
            raise Untrusted("signature", "{}: wrong signature".format(kind))
        if kind == "notice_download":
            return self._noticed(received)
        return (yield from self._compare((yield from message.unseal(self.me.private, received))))

    def _noticed(self, received: dict) -> list:
        """C2-1 step 6: n_i runs a newer version, so n_j's is outdated."""
        if received["v"] != self.own.version.encode():
            raise Untrusted("version", "notice_download: not about this node's version")
        return self._end(OUTDATED, self.ask["v"].decode())

    def _compare(self, sealed: dict):  # type: ignore[no-untyped-def]
        """C2-2 steps 7 and 8: H(fv) came, H(fv') goes. A tampered n_i comes back for M of the same version."""
        reply = message.new("res_verification", self.me.net, self.id, self.ask["from"], message.next_r(self.r, 3))
        yield from message.seal(self.asker, reply, {"h": self.own.verifier, "r": reply["r"]})
        actions = [(SEND, self.source, (yield from message.sign(self.me.private, reply)))]
        if equal(sealed["h"], self.own.verifier):
            return actions + self._end(ANSWERED, "")
        self._hand(True)
        return actions

    def _handed(self, received: dict):  # type: ignore[no-untyped-def]
        self.wait_ms = ANSWER_MS
        actions = yield from self.handing.receive(received, self.source)  # type: ignore[attr-defined]
        if self.handing.done:  # type: ignore[attr-defined]
            actions += self._end(ANSWERED, "" if self.confirmations is None else TAMPERED)
        return actions

    def _end(self, outcome: str, reason: str) -> list:
        self.state = OVER
        return [(END, outcome, reason)]
