"""What a verification node must not answer, each by the reason that it counts (design: bad input)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwchain.verification.tickets import Ticket, TicketKeys
from fwnode import crypto
from fwnode.compat import run
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.log import verification_log
from fwnode.roles.request import Request
from fwnode.trust import Untrusted, cert
from fwnode.trust.root import Root
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))
from verification_node import NET, World


class Clock:
    def now(self) -> int:
        return int(time.time())

    def told(self) -> int:
        return self.now()

    def learn(self, seconds: int) -> None:
        pass


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def dropped(world: World) -> Callable[[bytes], str]:
    """Gives a message to the exchange, which must raise; returns the one reason that was counted."""

    def give(data: bytes) -> str:
        world.exchange.counters.by_reason.clear()
        with pytest.raises((Untrusted, WireError)):
            world.exchange.handle(data, "127.0.0.1")
        (reason,) = world.exchange.counters.by_reason
        return reason

    return give


def identity(world: World, private: bytes | None = None, certificate: bytes | None = None) -> Identity:
    private = private or world.board
    credential = ("cert", certificate or world.certificate)
    return Identity(private, crypto.public_key(private), credential, "thermometer", NET, 4000)


def request_of(world: World, me: Identity | None = None) -> tuple[Request, bytes]:
    def measure() -> Any:
        yield
        return bytes(32)

    request = Request(
        me or identity(world),
        "1.0.0",
        Root(world.root),
        measure,
        Clock(),
        Counters(),
        1,
        int.from_bytes(os.urandom(7), "big"),
    )
    return request, run(request.begin())[0][1]


def resigned(private: bytes, data: bytes, **fields: Any) -> bytes:
    """The message with fields replaced (None: removed) and a right signature of `private`."""
    changed = decode(data)
    changed.update(fields)
    return run(message.sign(private, {key: value for key, value in changed.items() if value is not None}))


def test_each_malformed_req_verchk_is_refused(world: World, dropped: Callable[[bytes], str]) -> None:
    _, ask = request_of(world)
    for data in (b"", ask[:-1], ask + b"1:", b"d1:t10:req_verchke", b"d" * 20000):
        assert dropped(data) == "malformed"
    for fields in ({"v": b"1.0"}, {"v": b"1.0.x"}, {"v": b"1.0.70000"}):
        assert dropped(resigned(world.board, ask, **fields)) == "malformed"


def test_wrong_network_type_signature_id_time(world: World, dropped: Callable[[bytes], str]) -> None:
    _, ask = request_of(world)
    assert dropped(resigned(world.board, ask, net=bytes(8))) == "network"
    assert dropped(encode(dict(decode(ask), sig=bytes(63) + b"\x01"))) == "signature"
    assert dropped(resigned(world.board, ask, r=5)) == "id"
    assert dropped(resigned(world.board, ask, ts=int(time.time()) - 200)) == "time"
    assert dropped(resigned(world.board, ask, d=b"toaster")) == "model"
    assert dropped(resigned(world.board, ask, cert=None, pu=crypto.public_key(world.board))) == "certificate"
    notice = {key: value for key, value in decode(ask).items() if key in ("net", "from", "to", "r", "v")}
    assert dropped(run(message.sign(world.board, {**notice, "t": b"notice_download"}))) == "type"


def test_a_board_that_knows_no_time_is_answered(world: World) -> None:
    _, ask = request_of(world)
    assert world.exchange.handle(resigned(world.board, ask, ts=0), "127.0.0.1")


def test_certificates_that_do_not_count(world: World, dropped: Callable[[bytes], str]) -> None:
    other = crypto.generate_key()
    public = crypto.public_key(other)
    soon = int(time.time()) + 100
    self_made = run(cert.issue(other, "thermometer", public, soon))
    expired = run(cert.issue(world.enrolment, "thermometer", public, soon - 200))
    for certificate, reason in ((self_made, "certificate"), (expired, "expired"), (world.certificate, "id")):
        _, ask = request_of(world, identity(world, other, certificate))
        assert dropped(ask) == reason
    # another key's certificate with the right ID for that key, but signed by the thief
    _, ask = request_of(world)
    assert dropped(resigned(other, ask)) == "signature"


def first_steps(world: World) -> tuple[Request, bytes]:
    """A request whose `req_verification` is ready to be sent."""
    world.releases.shown = "1.0.0"
    request, ask = request_of(world)
    actions = run(request.receive(world.exchange.handle(ask, "127.0.0.1"), "v"))
    return request, actions[0][2]


def test_replay_of_each_message_gets_the_same_answer_and_changes_nothing(world: World) -> None:
    """The verification node keeps no state: a replayed request is answered alike, as a lost answer needs."""
    request, ask = request_of(world)
    for data in (ask, first_steps(world)[1]):
        answers = [world.exchange.handle(data, "127.0.0.1") for _ in range(2)]
        sealed = [run(message.unseal(world.board, message.parse(answer))) for answer in answers]
        assert sealed[0] == sealed[1]


def test_tickets_stale_foreign_changed_or_of_another_step(world: World, dropped: Callable[[bytes], str]) -> None:
    request, verification = first_steps(world)
    world.skew = 601
    try:
        assert dropped(verification) == "stale"
    finally:
        world.skew = 0
    ticket = decode(verification)["ticket"]
    for changed in (ticket[:-1], bytes(4) + ticket[4:], ticket[:-1] + bytes([ticket[-1] ^ 1]), bytes(16)):
        assert dropped(resigned(world.board, verification, ticket=changed)) == "ticket"
    assert dropped(resigned(world.board, verification, ticket=None)) == "malformed"
    another = first_steps(world)[1]
    assert dropped(resigned(world.board, verification, ticket=decode(another)["ticket"])) == "ticket"


def test_messages_with_the_wrong_r_receiver_key_or_box(world: World, dropped: Callable[[bytes], str]) -> None:
    request, verification = first_steps(world)
    r = decode(verification)["r"]
    assert dropped(resigned(world.board, verification, r=r + 1)) == "r"
    assert dropped(resigned(world.board, verification, to=bytes(20))) == "id"
    assert dropped(resigned(crypto.generate_key(), verification)) == "signature"
    assert dropped(resigned(world.board, verification, box=bytes(100))) == "box"


def test_ticket_keys_rotate_without_breaking_exchanges() -> None:
    old, new = os.urandom(32), os.urandom(32)
    ticket = Ticket(bytes(65), bytes(20), "m", "1.0.0", 1, 1, 2**33)
    sealed = TicketKeys(old).seal(ticket)
    assert TicketKeys(new, old).open(sealed, 0) == ticket
    with pytest.raises(Untrusted):
        TicketKeys(new).open(sealed, 0)


def test_logs_with_a_foreign_id_or_signature(world: World, dropped: Callable[[bytes], str]) -> None:
    me = identity(world)
    log = run(verification_log(me, 5, world.exchange.id, int(time.time()), "current", "1.0.0", bytes(32)))
    before = len(world.logs)
    assert dropped(resigned(world.board, log, req=bytes(20))) == "id"
    assert dropped(resigned(world.board, log, r=6)) == "id"
    assert dropped(resigned(crypto.generate_key(), log)) == "signature"
    assert len(world.logs) == before
    assert world.exchange.handle(log, "127.0.0.1") == b"" and len(world.logs) == before + 1
