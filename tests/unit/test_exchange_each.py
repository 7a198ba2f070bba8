"""Every message of C1 that a verification node takes is held to the same rules; a replay of each changes nothing."""

from __future__ import annotations

import dataclasses
import os
import time

import pytest
from exchange_world import Node, resigned

from fwchain.verification.tickets import TicketKeys
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import cert
from fwnode.trust.release import Release
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from verification_node import make_release

REPAIR = ["req_verchk", "req_verification", "req_metadata", "req_download"]
UPDATE = ["req_verchk", "req_download"]


@pytest.fixture(scope="module")
def node() -> Node:
    return Node()


@pytest.fixture(scope="module")
def each(node: Node) -> list[bytes]:
    """The messages of a repair (0 to 3) and of an update (4, 5), and the log that ends an exchange (6)."""
    repair, update = node.sent("1.0.0"), node.sent("1.1.0")
    assert [message.kind_of(message.parse(data)) for data in repair] == REPAIR
    assert [message.kind_of(message.parse(data)) for data in update] == UPDATE
    return [*repair, *update, node.log()]


def test_each_message_with_a_wrong_signature_or_network_or_shape(node: Node, each: list[bytes]) -> None:
    for data in each:
        assert node.dropped(encode({**decode(data), "sig": bytes(63) + b"\x01"})) == "signature"
        assert node.dropped(resigned(crypto.generate_key(), data)) == "signature"
        assert node.dropped(resigned(node.board, data, net=bytes(8))) == "network"
        assert node.dropped(encode({**decode(data), "extra": 1})) == "malformed"
        assert node.dropped(data[:-1]) == "malformed"


def test_each_message_with_another_r_or_receiver_is_of_no_exchange(node: Node, each: list[bytes]) -> None:
    for data in each:
        parsed = decode(data)
        assert node.dropped(resigned(node.board, data, r=parsed["r"] ^ 1)) == ("r" if "box" in parsed else "id")
        if message.kind_of(parsed) != "verification_log":
            assert node.dropped(resigned(node.board, data, to=bytes(19) + b"\x01")) == "id"


def test_a_broadcast_has_no_receiver(node: Node, each: list[bytes]) -> None:
    assert node.dropped(resigned(node.board, each[0], to=node.exchange.id)) == "id"


def test_each_message_with_a_ticket_is_stale_after_ten_minutes(node: Node, each: list[bytes]) -> None:
    with_ticket = [data for data in each if "ticket" in decode(data)]
    assert len(with_ticket) == 4
    try:
        for data in with_ticket:
            node.skew = 590
            assert node.give(data)
            node.skew = 602
            assert node.dropped(data) == "stale"
    finally:
        node.skew = 0


def test_each_message_sent_again_gets_the_same_answer(node: Node, each: list[bytes]) -> None:
    """The node keeps no state of an exchange: there is nothing that a replay could change, and an answer that was
    lost is given again. A log that is sent twice is in the chain once (test_service_store)."""
    for data in each:
        answers = [node.give(data) for _ in range(2)]
        if message.kind_of(message.parse(data)) == "verification_log":
            assert answers == [b"", b""]
        else:
            sealed = [run(message.unseal(node.board, message.parse(answer))) for answer in answers]
            assert sealed[0] == sealed[1]


def test_a_ticket_serves_the_step_and_the_exchange_that_it_was_made_for(node: Node, each: list[bytes]) -> None:
    _, verification, metadata, download, _, update, _ = each
    early, late, other = (decode(data)["ticket"] for data in (verification, download, update))
    assert node.dropped(resigned(node.board, verification, ticket=late)) == "ticket"
    assert node.dropped(resigned(node.board, metadata, ticket=late)) == "ticket"
    # the step stands in the ticket: r + 6 is not what follows r + 1
    assert node.dropped(resigned(node.board, download, ticket=early)) == "r"
    for data in (verification, metadata, download):
        assert node.dropped(resigned(node.board, data, ticket=other)) == "ticket"


def test_a_ticket_that_another_node_sealed_does_not_open(node: Node, each: list[bytes]) -> None:
    ticket = node.exchange.tickets.open(decode(each[1])["ticket"], time.time())
    foreign = TicketKeys(os.urandom(32)).seal(ticket)
    for data in each[1:4]:
        assert node.dropped(node.resealed(data, {"ticket": foreign})) == "ticket"


def test_sealed_fields_that_contradict_the_exchange(node: Node, each: list[bytes]) -> None:
    metadata = each[2]
    assert node.dropped(node.resealed(metadata, id=bytes(20))) == "id"
    assert node.dropped(node.resealed(metadata, d=b"toaster")) == "id"
    assert node.dropped(node.resealed(metadata, v=b"1.0")) == "malformed"
    for data in (each[3], each[5]):
        assert node.dropped(node.resealed(data, id=bytes(20))) == "id"
        assert node.dropped(node.resealed(data, {"v": b"9.9.9"})) == "unknown-release"
        assert node.dropped(node.resealed(data, h=bytes(32))) == "unknown-release"


def test_what_is_not_known_here_is_dropped_and_counted(node: Node, each: list[bytes]) -> None:
    """A model without a release, a version that nobody published, another model's verifier."""
    public = crypto.public_key(node.board)
    toaster = node.identity(credential=("cert", run(cert.issue(node.enrolment, "toaster", public, 2**33))))
    toaster.model = "toaster"
    assert node.dropped(node.request(toaster)[1]) == "unknown-model"
    tickets = node.exchange.tickets
    ticket = tickets.open(decode(each[1])["ticket"], time.time())
    unknown = tickets.seal(dataclasses.replace(ticket, version="0.9.0"))
    assert node.dropped(node.resealed(each[1], {"ticket": unknown})) == "unknown-version"
    ticket = tickets.open(decode(each[5])["ticket"], time.time())
    foreign = tickets.seal(dataclasses.replace(ticket, model="toaster"))
    assert node.dropped(node.resealed(each[5], {"ticket": foreign})) == "unknown-release"


def test_two_models_and_two_versions_may_have_the_same_bytes(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """L is prepared by H(fv_new) (C1-2 step 6), of the release that M named."""
    same = node.firmware["1.1.0"]
    twins = [make_release("1.1.0", same, node.vendor, model="aaa"), make_release("0.9.0", same, node.vendor)]
    monkeypatch.setattr(node.releases, "known", [*map(Release, twins), *node.releases.known])
    assert len(node.sent("1.1.0")) == len(UPDATE)


def test_metadata_of_a_version_that_nobody_published_is_a_signed_none(node: Node, each: list[bytes]) -> None:
    answer = message.parse(node.give(node.resealed(each[2], v=b"0.9.0")))
    assert run(message.unseal(node.board, answer))["m"] == b""


def test_a_log_of_another_model_than_its_certificate_s(node: Node, each: list[bytes]) -> None:
    assert node.dropped(resigned(node.board, each[-1], d=b"toaster")) == "model"
    assert node.dropped(resigned(node.board, each[-1], v=b"1.0")) == "malformed"


def test_nobody_makes_a_message_that_everybody_refuses(node: Node, each: list[bytes]) -> None:
    """Each field within its limit, and all together beyond the message's."""
    answer = message.parse(node.give(each[0]))
    fields = {"box": bytes(15360), "ticket": bytes(512), "cert": bytes(400), "tip": bytes(512)}
    with pytest.raises(WireError, match="message: 17... bytes, limit 16384"):
        run(message.sign(node.node, {**answer, **fields}))


# open enrolment, as the paper has it: a bare key takes part


@pytest.fixture
def opened(node: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(node.exchange, "enrolment", "open")
    return node


def test_in_an_open_network_a_bare_key_is_answered_and_logs(opened: Node) -> None:
    me = opened.identity(credential=("pu", crypto.public_key(opened.board)))
    sent = opened.sent("1.0.0", me)
    assert len(sent) == len(REPAIR)
    before = len(opened.logs)
    assert opened.give(opened.log(me)) == b"" and len(opened.logs) == before + 1
    assert opened.dropped(resigned(crypto.generate_key(), sent[0])) == "signature"
    assert opened.dropped(resigned(opened.board, sent[0], pu=None)) == "certificate"
    assert opened.dropped(resigned(opened.board, sent[0], r=5)) == "id"
    assert opened.dropped(resigned(opened.board, sent[0], pu=b"\x04" + bytes(64))) == "id"


def test_in_an_open_network_a_certificate_is_checked_all_the_same(opened: Node, each: list[bytes]) -> None:
    public = crypto.public_key(opened.board)
    self_made = run(cert.issue(crypto.generate_key(), "thermometer", public, 2**33))
    assert opened.dropped(resigned(opened.board, each[0], cert=self_made)) == "certificate"
    assert opened.give(each[0])
