"""The verification node's part of C1 (paper 3.3.1), and of C2-1 and C2-3 (3.3.2): one message in, its answer out.

It keeps no state per exchange: tickets carry it. A replay therefore gets the same answer and fills no table.
The cheap checks come first; what fails one is counted by reason and gets no answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fwchain.verification.members import Members, Terms
from fwchain.verification.tickets import LIFETIME_S, DailyTickets, Ticket, TicketKeys
from fwnode.chain import ChainError
from fwnode.chain.log import ANSWERED, CONFIRMED
from fwnode.compat import run
from fwnode.crypto import InvalidBox, InvalidKey, equal
from fwnode.crypto import public_key as public_of
from fwnode.roles import peers as peer_list
from fwnode.roles.identity import Counters
from fwnode.trust import Untrusted, version
from fwnode.trust.cert import Certificate
from fwnode.trust.release import Release
from fwnode.trust.root import Root
from fwnode.wire import WireError, message

MAX_SKEW_S = 120

FIRST_METADATA_K = (2, 3)  # C2-3 and C2-1: the first message of them that v_i sees, without a ticket


class Releases(Protocol):
    """Where the exchange finds the vendor's releases."""

    def newest(self, model: str, public: bytes) -> Release | None:
        """The newest release of the model that is offered to this key."""

    def by_version(self, model: str, wanted: str) -> Release | None:
        """The release of exactly this version."""


def _no_block(data: bytes, told: dict[str, Any], ip: str) -> None:
    raise Untrusted("type", "block: not taken here")


class Exchange:
    """Answers the messages of request nodes.

    `peers(release)` gives L's entries; `on_log(data, message)` takes each verification log, of whose confirmations the
    chain's rules are still to be checked; `on_block(data, message, ip)` takes the message `block`; `on_event(kind,
    fields)` hears of each answer; `enrolment` is "certified" or "open" (genesis).
    `on_offer(release, key, request)` hears that a release newer than a board's own is offered to the certified key
    with that ID, in the exchange with that request ID. `recalls(model, version)` gives what boards of the model that
    run this version are told of recalled releases.
    """

    def __init__(
        self,
        private: bytes,
        root: Root,
        net: bytes,
        enrolment: str,
        tickets: TicketKeys | DailyTickets,
        releases: Releases,
        peers: Callable[[Release], Iterable[tuple[str, int, bool]]],
        on_log: Callable[[bytes, dict[str, Any]], None],
        on_event: Callable[..., None] = lambda kind, **fields: None,
        clock: Callable[[], float] = time.time,
        on_block: Callable[[bytes, dict[str, Any], str], None] = _no_block,
        terms: Terms = Terms(),  # noqa: B008 - it cannot be changed
        on_offer: Callable[[Release, bytes, bytes], None] = lambda release, key, request: None,
        recalls: Callable[[str, str], bytes | None] = lambda model, version: None,
    ) -> None:
        self.private = private
        self.public = public_of(private)
        self.id = message.key_id(self.public)
        self.roots = [root]
        self.members = Members(private, lambda: self.roots, terms, clock)
        self.net = net
        self.enrolment = enrolment
        self.tickets = tickets
        self.releases = releases
        self.peers = peers
        self.on_log = on_log
        self.on_event = on_event
        self.on_offer = on_offer
        self.recalls = recalls
        self.clock = clock
        self.on_block = on_block
        self.counters = Counters()
        self.sealed: dict[str, Any] = {}  # what the box of the last answer holds, for a trace
        self._handlers: dict[str, Callable[[dict[str, Any], bytes, str], bytes]] = {
            "req_verchk": self._verchk,
            "req_verification": self._verification,
            "req_metadata": self._metadata,
            "req_download": self._download,
            "verification_log": self._log,
            "block": self._block,
        }

    @property
    def root(self) -> Root:
        """The trust root in force."""
        return self.roots[-1]

    def handle(self, data: bytes, ip: str) -> bytes:
        """The answer to the message in `data` from the address `ip`, empty for a log.

        Raises WireError for a malformed message and Untrusted for one that breaks a rule; both are counted.
        """
        try:
            received = message.parse(data)
            kind = message.kind_of(received)
            if received["net"] != self.net:
                raise Untrusted("network", "net: another network")
            if kind not in self._handlers:
                raise Untrusted("type", f"{kind}: not for a verification node")
            return self._handlers[kind](received, data, ip)
        except (WireError, InvalidKey):
            self.counters.count("malformed")
            raise
        except InvalidBox as error:
            self.counters.count("box")
            raise Untrusted("box", str(error)) from None
        except Untrusted as error:
            self.counters.count(error.reason)
            raise
        except ChainError as error:
            self.counters.count(error.field)
            raise

    # one method a message

    def _verchk(self, ask: dict[str, Any], data: bytes, ip: str) -> bytes:
        """C1 steps 2 and 3: the newest version for this board, with M when it is newer than the board's."""
        if ask["to"]:
            raise Untrusted("id", "req_verchk: a broadcast has no receiver")
        now = int(self.clock())
        if ask["ts"] and abs(ask["ts"] - now) > MAX_SKEW_S:
            raise Untrusted("time", f"ts: {ask['ts']} is more than {MAX_SKEW_S} s from {now}")
        public, certificate = self._sender(ask, ask["r"], asking=True)
        if certificate and certificate.model.encode() != ask["d"]:
            raise Untrusted("model", "d: not the model of the certificate")
        self._signed(ask, public)
        running = ask["v"].decode()
        release = self._newest(ask["d"].decode(), public, running)
        r = message.next_r(ask["r"], 1)
        sealed: dict[str, Any] = {"v": release.version.encode(), "r": r, "id": self.id}
        if release.version_key > version.parse(running):
            sealed["m"] = release.metainfo
            self._offer(release, certificate, ask["from"])
        ticket = Ticket(public, ask["from"], release.model, running, ask["r"], 1, now + LIFETIME_S)
        self.on_event(
            "verchk", node=ask["from"].hex(), ip=ip, model=release.model, version=running, newest=release.version
        )
        clear = {"ts": now, "root": self.root.number, "ticket": self.tickets.seal(ticket)}
        clear.update(self._news(certificate, release.model, running))
        return self._answer("res_verchk", ticket, r, sealed, clear)

    def _newest(self, model: str, public: bytes, running: str) -> Release:
        """v_new for this board: the newest that it is offered, or what it runs, when that is newer and known here (it
        came in another way, or was recalled since).
        """
        version.parse(running)
        newest = self.releases.newest(model, public)
        own = self.releases.by_version(model, running)
        if own and (newest is None or own.version_key > newest.version_key):
            return own
        if newest is None:
            raise Untrusted("unknown-model", f"d: no release of model {model} is known here")
        return newest

    def _offer(self, release: Release, certificate: Certificate | None, request: bytes) -> None:
        if certificate and self.root.enrolment_key(certificate.signer):
            self.on_offer(release, certificate.key_id, request)

    def _news(self, certificate: Certificate | None, model: str, running: str) -> dict[str, bytes]:
        """A fresh certificate, where one is due, and what was recalled of this board's model."""
        told = {
            "cert": self.members.renewed(certificate) if certificate else None,
            "recall": self.recalls(model, running),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _verification(self, ask: dict[str, Any], data: bytes, ip: str) -> bytes:
        """C1-1 steps 6 and 7: H(fv) comes in, H(fv_new) of the same version goes out."""
        ticket = self._ticket(ask, 1)
        sealed = self._open(ask, ticket.public, ticket.r, 2)
        release = self.releases.by_version(ticket.model, ticket.version)
        if release is None:
            raise Untrusted("unknown-version", f"v: {ticket.version} of {ticket.model} is not known here")
        r = message.next_r(ticket.r, 3)
        genuine = equal(sealed["h"], release.verifier)
        self.on_event("verification", node=ask["from"].hex(), ip=ip, version=ticket.version, genuine=genuine)
        return self._answer("res_verification", ticket, r, {"h": release.verifier, "r": r})

    def _metadata(self, ask: dict[str, Any], data: bytes, ip: str) -> bytes:
        """C1-1 after unequal verifiers (M of the same version), C2-1 and C2-3 (M of the newest)."""
        now = int(self.clock())
        if "ticket" in ask:
            ticket = self._ticket(ask, 1)
            k, certificate = 4, None
            sealed = self._open(ask, ticket.public, ticket.r, k)
        else:
            ticket, k, sealed, certificate = self._first_metadata(ask, now)
        wanted, model = sealed["v"].decode(), sealed["d"].decode()
        version.parse(wanted)
        if model != ticket.model or sealed["id"] != ask["from"]:
            raise Untrusted("id", "req_metadata: its sealed ID or model is not the sender's")
        if k == 4:
            release = self.releases.by_version(model, wanted)
        else:
            release = self.releases.newest(model, ticket.public)
            if release and release.version_key <= version.parse(wanted):
                release = None  # a signed "none": the asker has the newest that is known here
            if release:
                self._offer(release, certificate, ask["from"])
        r = message.next_r(ticket.r, k + 1)
        following = Ticket(ticket.public, ticket.node, model, wanted, ticket.r, k + 1, now + LIFETIME_S)
        clear = {"ts": now, "ticket": self.tickets.seal(following)}
        found = release.metainfo if release else b""
        self.on_event("metadata", node=ask["from"].hex(), ip=ip, version=release.version if release else None)
        return self._answer("res_metadata", ticket, r, {"m": found, "r": r}, clear)

    def _first_metadata(self, ask: dict[str, Any], now: int) -> tuple[Ticket, int, dict[str, Any], Certificate | None]:
        for k in FIRST_METADATA_K:
            r = (ask["r"] - k) % message.R_SPAN
            try:
                public, certificate = self._sender(ask, r, asking=True)
            except Untrusted as error:
                if error.reason == "id" and k != FIRST_METADATA_K[-1]:
                    continue
                raise
            sealed = self._open(ask, public, r, k)
            named = certificate.model if certificate else sealed["d"].decode()
            return Ticket(public, ask["from"], named, sealed["v"].decode(), r, 0, now), k, sealed, certificate
        raise Untrusted("id", "from: not made from the sender's key and r")

    def _download(self, ask: dict[str, Any], data: bytes, ip: str) -> bytes:
        """C1-2 steps 6 and 7: H(fv_new) comes in, L goes out."""
        ticket = self._ticket(ask, None)
        sealed = self._open(ask, ticket.public, ticket.r, ticket.k + 1)
        # by version, since two models or versions may have the same bytes
        release = self.releases.by_version(ticket.model, ask["v"].decode())
        if release is None or not equal(sealed["h"], release.verifier):
            raise Untrusted("unknown-release", "h: no release of this model and version has this verifier")
        if sealed["id"] != ask["from"]:
            raise Untrusted("id", "req_download: its sealed ID is not the sender's")
        r = message.next_r(ticket.r, ticket.k + 2)
        peers = list(self.peers(release))
        self.on_event("download", node=ask["from"].hex(), ip=ip, version=release.version, peers=len(peers))
        listed = peer_list.pack(release.info_hash, peers)
        clear = {"v": ask["v"]}
        return self._answer("res_download", ticket, r, {"l": listed, "id": self.id, "r": r}, clear)

    def _log(self, log: dict[str, Any], data: bytes, ip: str) -> bytes:
        """The end of an exchange: n_i's verification log, for the chain; or a confirmation of C2-2, with its work."""
        if log["o"] == ANSWERED.encode():
            return b""  # for fellows alone
        if log["o"] == CONFIRMED.encode():
            self.on_log(data, log)
            return b""
        if log["req"] != log["from"]:
            raise Untrusted("id", "verification_log: only the request node logs its exchange here")
        public, certificate = self._sender(log, log["r"])
        if certificate and certificate.model.encode() != log["d"]:
            raise Untrusted("model", "d: not the model of the certificate")
        self._signed(log, public)
        version.parse(log["v"])
        self.on_log(data, log)
        self.on_event("log", node=log["req"].hex(), ip=ip, outcome=log["o"].decode(), version=log["v"].decode())
        return b""

    def _block(self, told: dict[str, Any], data: bytes, ip: str) -> bytes:
        """A block that another full node or n_j made."""
        self.on_block(data, told, ip)
        return b""

    # the checks, cheap ones first

    def _sender(self, received: dict[str, Any], r: int, asking: bool = False) -> tuple[bytes, Certificate | None]:
        """(PU, certificate) of the sender on first contact; the ID is checked before any elliptic curve.

        `asking`: it only asks, so it is heard also when its certificate ended a while ago (see Members.check).
        """
        certificate = Certificate(received["cert"]) if "cert" in received else None
        if certificate is None and (self.enrolment != "open" or "pu" not in received):
            raise Untrusted("certificate", "cert: this network wants a certificate")
        public = certificate.public if certificate else received["pu"]
        if received["from"] != message.node_id(public, r):
            raise Untrusted("id", "from: not made from the sender's key and r")
        self._not_revoked(public)
        if certificate:
            self.members.check(certificate, asking)
        return public, certificate

    def _not_revoked(self, public: bytes) -> None:
        if message.key_id(public) in self.root.revoked:
            raise Untrusted("revoked", f"the sender's key is revoked by root {self.root.number}")

    @staticmethod
    def _signed(received: dict[str, Any], public: bytes) -> None:
        if not run(message.verify(received, public)):
            raise Untrusted("signature", f"{message.kind_of(received)}: wrong signature")

    def _ticket(self, ask: dict[str, Any], k: int | None) -> Ticket:
        if "ticket" not in ask:
            raise WireError(f"{message.kind_of(ask)}: field ticket is missing")
        ticket = self.tickets.open(ask["ticket"], self.clock())
        if ticket.node != ask["from"] or (k is not None and ticket.k != k):
            raise Untrusted("ticket", "ticket: of another exchange or step")
        self._not_revoked(ticket.public)
        return ticket

    def _open(self, ask: dict[str, Any], public: bytes, r: int, k: int) -> dict[str, Any]:
        """The sealed fields of a request that is for this node, with r + k, signed by `public`."""
        if ask["to"] != self.id:
            raise Untrusted("id", f"{message.kind_of(ask)}: for another node")
        if ask["r"] != message.next_r(r, k):
            raise Untrusted("r", f"{message.kind_of(ask)}: r + {k} expected")
        self._signed(ask, public)
        sealed: dict[str, Any] = run(message.unseal(self.private, ask))
        return sealed

    def _answer(
        self, kind: str, ticket: Ticket, r: int, sealed: dict[str, Any], clear: dict[str, Any] | None = None
    ) -> bytes:
        reply = message.new(kind, self.net, self.id, ticket.node, r)
        reply.update(clear or {})
        run(message.seal(ticket.public, reply, dict(sealed)))  # a copy, since that is emptied
        data: bytes = run(message.sign(self.private, reply))
        self.sealed = sealed
        return data
