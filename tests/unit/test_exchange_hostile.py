"""What a verification node must not answer, each by the reason that it counts (design: bad input)."""

from __future__ import annotations

import os
import time

import pytest
from exchange_world import Node, resigned

from fwchain.verification.tickets import KEY_LIFE_S, DailyTickets, Ticket, TicketKeys
from fwnode import crypto
from fwnode.compat import run
from fwnode.roles.log import verification_log
from fwnode.roles.request import Request
from fwnode.trust import Untrusted, cert
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode


@pytest.fixture(scope="module")
def world() -> Node:
    return Node()


def test_each_malformed_req_verchk_is_refused(world: Node) -> None:
    _, ask = world.request()
    for data in (b"", ask[:-1], ask + b"1:", b"d1:t10:req_verchke", b"d" * 20000):
        assert world.dropped(data) == "malformed"
    for fields in ({"v": b"1.0"}, {"v": b"1.0.x"}, {"v": b"1.0.70000"}):
        assert world.dropped(resigned(world.board, ask, **fields)) == "malformed"


def test_wrong_network_type_signature_id_time(world: Node) -> None:
    _, ask = world.request()
    assert world.dropped(resigned(world.board, ask, net=bytes(8))) == "network"
    assert world.dropped(encode(dict(decode(ask), sig=bytes(63) + b"\x01"))) == "signature"
    assert world.dropped(resigned(world.board, ask, r=5)) == "id"
    assert world.dropped(resigned(world.board, ask, ts=int(time.time()) - 200)) == "time"
    assert world.dropped(resigned(world.board, ask, d=b"toaster")) == "model"
    assert world.dropped(resigned(world.board, ask, cert=None, pu=crypto.public_key(world.board))) == "certificate"
    notice = {key: value for key, value in decode(ask).items() if key in ("net", "from", "to", "r", "v")}
    assert world.dropped(run(message.sign(world.board, {**notice, "t": b"notice_download"}))) == "type"


def test_a_board_that_knows_no_time_is_answered(world: Node) -> None:
    _, ask = world.request()
    assert world.give(resigned(world.board, ask, ts=0))


def test_certificates_that_do_not_count(world: Node) -> None:
    other = crypto.generate_key()
    public = crypto.public_key(other)
    soon = int(time.time()) + 100
    self_made = run(cert.issue(other, "thermometer", public, soon))
    expired = run(cert.issue(world.enrolment, "thermometer", public, soon - 91 * 86400))  # the grace is 90 days
    for certificate, reason in ((self_made, "certificate"), (expired, "expired"), (world.certificate, "id")):
        _, ask = world.request(world.identity(other, ("cert", certificate)))
        assert world.dropped(ask) == reason
    # another key's certificate with the right ID for that key, but signed by the thief
    _, ask = world.request()
    assert world.dropped(resigned(other, ask)) == "signature"


def first_steps(world: Node) -> tuple[Request, bytes]:
    """A request whose `req_verification` is ready to be sent."""
    world.releases.shown = "1.0.0"
    request, ask = world.request()
    actions = run(request.receive(world.give(ask), "v"))
    return request, actions[0][2]


def test_tickets_stale_foreign_changed_or_of_another_step(world: Node) -> None:
    request, verification = first_steps(world)
    world.skew = 601
    try:
        assert world.dropped(verification) == "stale"
    finally:
        world.skew = 0
    ticket = decode(verification)["ticket"]
    for changed in (ticket[:-1], bytes(4) + ticket[4:], ticket[:-1] + bytes([ticket[-1] ^ 1]), bytes(16)):
        assert world.dropped(resigned(world.board, verification, ticket=changed)) == "ticket"
    assert world.dropped(resigned(world.board, verification, ticket=None)) == "malformed"
    another = first_steps(world)[1]
    assert world.dropped(resigned(world.board, verification, ticket=decode(another)["ticket"])) == "ticket"


def test_messages_with_the_wrong_r_receiver_key_or_box(world: Node) -> None:
    request, verification = first_steps(world)
    r = decode(verification)["r"]
    assert world.dropped(resigned(world.board, verification, r=r + 1)) == "r"
    assert world.dropped(resigned(world.board, verification, to=bytes(20))) == "id"
    assert world.dropped(resigned(crypto.generate_key(), verification)) == "signature"
    assert world.dropped(resigned(world.board, verification, box=bytes(100))) == "box"


def test_ticket_keys_rotate_without_breaking_exchanges() -> None:
    old, new = os.urandom(32), os.urandom(32)
    ticket = Ticket(bytes(65), bytes(20), "m", "1.0.0", 1, 1, 2**33)
    sealed = TicketKeys(old).seal(ticket)
    assert TicketKeys(new, old).open(sealed, 0) == ticket
    with pytest.raises(Untrusted):
        TicketKeys(new).open(sealed, 0)


def test_the_days_ticket_key_is_every_process_s_and_changes_with_the_day() -> None:
    """A ticket is taken today and tomorrow, by each process that has the node's key, and by no other node."""
    now = [10 * KEY_LIFE_S - 1.0]
    private = os.urandom(32)
    one, other, stranger = (DailyTickets(key, lambda: now[0]) for key in (private, private, os.urandom(32)))
    ticket = Ticket(bytes(65), bytes(20), "m", "1.0.0", 1, 1, 2**33)
    sealed = one.seal(ticket)
    with pytest.raises(Untrusted, match="a key that this node does not have"):
        stranger.open(sealed, 0)
    now[0] += 1
    assert other.open(sealed, 0) == one.open(sealed, 0) == ticket
    assert one.seal(ticket)[:4] != sealed[:4]
    now[0] += KEY_LIFE_S
    with pytest.raises(Untrusted):
        one.open(sealed, 0)


def test_a_ticket_key_has_32_bytes() -> None:
    for keys in ((bytes(16),), (bytes(32), bytes(31))):
        with pytest.raises(ValueError, match="32 bytes expected"):
            TicketKeys(*keys)


def test_logs_with_a_foreign_id_or_signature(world: Node) -> None:
    me = world.identity()
    log = run(verification_log(me, 5, world.exchange.id, int(time.time()), "current", "1.0.0", bytes(32)))
    before = len(world.logs)
    assert world.dropped(resigned(world.board, log, req=bytes(20))) == "id"
    assert world.dropped(resigned(world.board, log, r=6)) == "id"
    assert world.dropped(resigned(crypto.generate_key(), log)) == "signature"
    assert len(world.logs) == before
    assert world.give(log) == b"" and len(world.logs) == before + 1
