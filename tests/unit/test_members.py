"""Certificates at the verification node: their end, their renewal, their grace, and revocation (design: addition 6)."""

from __future__ import annotations

from typing import Any

import pytest
from exchange_world import Node

from fwchain.verification.members import Members, Terms
from fwnode import crypto
from fwnode.compat import run
from fwnode.roles.log import verification_log
from fwnode.trust import Untrusted, cert, issue
from fwnode.trust.cert import Certificate
from fwnode.trust.root import Root
from fwnode.wire import message

DAY = 86400
NOW = 1_800_000_000
BOARD = crypto.public_key(crypto.generate_key())


class Site:
    """Roots, a clock, and what `Members` says."""

    def __init__(self) -> None:
        self.world = Node()
        self.node = self.world.node
        one = Root(self.world.root)
        self.roots = [one]
        self.next(**{"enrolment-keys": [*one.enrolment, crypto.public_key(self.node)]})
        self.now = NOW
        self.members = Members(self.node, lambda: self.roots, Terms(days=300, grace_days=90), lambda: self.now)

    def next(self, **changes: Any) -> None:
        self.roots.append(Root(run(issue.sign_root(issue.successor(self.roots[-1], changes), self.world.root_key))))

    def certificate(self, days: float, issuer: bytes | None = None) -> Certificate:
        return Certificate(run(cert.issue(issuer or self.world.enrolment, "thermometer", BOARD, int(NOW + days * DAY))))


@pytest.fixture
def site() -> Site:
    return Site()


def why(site: Site, certificate: Certificate, asking: bool) -> str:
    with pytest.raises(Untrusted) as caught:
        site.members.check(certificate, asking)
    return caught.value.reason


def test_a_certificate_is_renewed_in_the_last_third_of_its_life(site: Site) -> None:
    assert site.members.renewed(site.certificate(101)) is None
    data = site.members.renewed(site.certificate(99))
    assert data is not None
    fresh = Certificate(data)
    assert (fresh.model, fresh.public, fresh.expires) == ("thermometer", BOARD, NOW + 300 * DAY)
    assert fresh.signer == message.key_id(crypto.public_key(site.node))
    run(fresh.check(site.roots[-1], NOW))
    assert site.members.renewed(fresh) is None


def test_after_its_end_it_may_ask_within_the_grace_but_nothing_else(site: Site) -> None:
    ended = site.certificate(-89)
    assert why(site, ended, False) == "expired"
    site.members.check(ended, True)
    assert site.members.renewed(ended) is not None
    assert why(site, site.certificate(-91), True) == "expired"


def test_a_node_that_is_no_enrolment_key_renews_nothing(site: Site) -> None:
    site.roots.pop()
    assert site.members.renewed(site.certificate(1)) is None


def test_what_a_retired_enrolment_key_certified_is_answered_and_neither_counts_nor_is_renewed(site: Site) -> None:
    held = site.certificate(1)
    site.next(**{"enrolment-keys": [crypto.public_key(site.node)]})
    assert why(site, held, False) == "certificate"
    site.members.check(held, True)
    assert site.members.renewed(held) is None
    assert why(site, site.certificate(1, crypto.generate_key()), True) == "certificate"


# a revoked board, over the whole exchange


def test_a_revoked_board_gets_no_answer_at_any_step_and_logs_nothing() -> None:
    world = Node()
    exchange = world.exchange
    request, ask = world.request()
    following = run(request.receive(exchange.handle(ask, "127.0.0.1"), "x"))[0][2]  # it has a ticket
    public = crypto.public_key(world.board)
    changes = {"revoked": [message.key_id(public)]}
    exchange.roots.append(Root(run(issue.sign_root(issue.successor(exchange.root, changes), world.root_key))))
    log = run(verification_log(world.identity(), 5, exchange.id, NOW, "current", "1.0.0", bytes(32)))
    for data in (ask, following, log):
        with pytest.raises(Untrusted) as caught:
            exchange.handle(data, "127.0.0.1")
        assert caught.value.reason == "revoked"


def test_a_certificate_near_its_end_is_renewed_in_the_answer() -> None:
    world = Node()  # its board's certificate ends tomorrow
    exchange = world.exchange
    _, ask = world.request()
    assert "cert" not in message.parse(exchange.handle(ask, "127.0.0.1"))  # its key certifies nobody yet
    keys = {"enrolment-keys": [crypto.public_key(key) for key in (world.enrolment, world.node)]}
    exchange.roots.append(Root(run(issue.sign_root(issue.successor(exchange.root, keys), world.root_key))))
    answer = message.parse(exchange.handle(ask, "127.0.0.1"))
    assert Certificate(answer["cert"]).public == crypto.public_key(world.board)
