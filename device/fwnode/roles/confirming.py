"""A confirming node in C2-2 (paper 3.3.2, step 3): it confirms only what it knows, and shows work for it.

It knows a verifier when it runs that firmware itself and has computed it, or has the vendor-signed M of it.
"""

from fwnode.chain import pow as work
from fwnode.chain.log import CONFIRMED
from fwnode.crypto import equal, sha256
from fwnode.roles import BROADCAST
from fwnode.roles.strangers import check_signed, check_time, claimed
from fwnode.trust import Untrusted
from fwnode.wire import WireError, message

MAX_JOIN = 1200  # bytes: a join_verification is one datagram


class Confirming:
    """Answers `join_verification` broadcasts that its owner lets in (fwnode.gate).

    `known(model, version)` gives a verifier that this node knows, or None; `may_work(public)` whether the owner of this
    key may have a proof of work now; `replays` is a cache.
    """

    def __init__(self, me, genesis, authority, clock, counters, known, replays, may_work) -> None:  # type: ignore[no-untyped-def]
        self.me = me
        self.genesis = genesis
        self.authority = authority
        self.clock = clock
        self.counters = counters
        self.known = known
        self.replays = replays
        self.may_work = may_work

    def receive(self, data: bytes):  # type: ignore[no-untyped-def]
        """Steps: the log to broadcast for a join_verification that holds; [] and a count for one that does not."""
        try:
            return (yield from self._confirm(data))
        except (WireError, Untrusted) as error:
            self.counters.drop(error)
        return []

    def _confirm(self, data: bytes):  # type: ignore[no-untyped-def]
        join, ask, public = self.cheap(data)
        now = self.clock.now()
        yield from check_signed(join, public, self.authority, now)
        asker = claimed(ask, ask["r"], self.genesis.certified)
        yield from check_signed(ask, asker, self.authority, now)
        if not self.may_work(public):
            raise Untrusted("busy", "join_verification: the budget for proofs of work is used up")
        digest = sha256(data)
        nonce = yield from work.confirm(digest, self.me.public, self.genesis.difficulty)
        if nonce is None:
            return []
        own = message.node_id(self.me.public, ask["r"])
        log = message.new("verification_log", self.me.net, own, b"", ask["r"])
        log["req"] = ask["from"]
        log["res"] = join["from"]
        log["ts"] = self.clock.told() or 0
        log["o"] = CONFIRMED.encode()
        for name in ("d", "v", "h"):
            log[name] = join[name]
        log["join"] = digest
        log["nonce"] = nonce
        log[self.me.credential[0]] = self.me.credential[1]
        return [(BROADCAST, (yield from message.sign(self.me.private, log)))]

    def cheap(self, data: bytes) -> tuple:
        """(the join, the request inside it, n_j's claimed key): every check that costs no curve and no work."""
        if len(data) > MAX_JOIN:
            raise WireError("join_verification: {} bytes, limit {}".format(len(data), MAX_JOIN))
        join = message.parse(data)
        if join["net"] != self.me.net:
            raise Untrusted("network", "net: another network")
        ask = message.parse(join["ask"])
        if message.kind_of(ask) != "req_verchk" or ask["net"] != self.me.net or ask["from"] != join["id"]:
            raise Untrusted("ask", "join_verification: the request inside is not the one that it names")
        public = claimed(join, ask["r"], self.genesis.certified)
        asker = claimed(ask, ask["r"], self.genesis.certified)
        if self.me.public in (public, asker):
            raise Untrusted("own", "join_verification: this node's own exchange")
        if (ask["d"], ask["v"]) != (join["d"], join["v"]):
            raise Untrusted("version", "join_verification: not of the version that was asked about")
        now = self.clock.told()
        check_time(join["ts"], now)
        check_time(ask["ts"], now)
        known = self.known(join["d"].decode(), join["v"].decode())
        if known is None:
            raise Untrusted("unknown", "join_verification: of a firmware that is not known here")
        if not equal(known, join["h"]):
            raise Untrusted("verifier", "join_verification: its verifier is not the one that is known here")
        if self.replays.seen(join["from"] + join["id"]):
            raise Untrusted("replay", "join_verification: seen before")
        return join, ask, public
