"""C2-2's confirmations: seven of certified boards of this model for this verifier, and nobody else's."""

from chain_parts import MODEL, TIME, Network, key
from fwnode import crypto
from fwnode.chain import ChainError, block
from fwnode.chain.authority import Authority
from fwnode.chain.confirm import Confirmations
from fwnode.chain.log import Log
from fwnode.chain.pow import confirm
from fwnode.trust import Untrusted, root
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from support import raises, run

JOIN = crypto.sha256(b"join_verification")
VERIFIER = crypto.sha256(b"firmware 1.0.0")
ASKER, ANSWERER = 1, 2
_kept = []


def network():
    """One network for all tests of this file."""
    if not _kept:
        _kept.append(Network())
    return _kept[0]


def collected(net, authority=None):
    """An empty collection for the exchange of boards 1 and 2."""
    asker, answerer = net.board(ASKER)[1], net.board(ANSWERER)[1]
    request, response = message.node_id(asker, 1000), message.node_id(answerer, 1000)
    expected = (MODEL, "1.0.0", VERIFIER)
    return Confirmations(authority or net.authority, net.genesis, JOIN, request, response, expected, [asker, answerer])


def test_c2_2_step_4_more_than_six_confirm():
    net = network()
    found = collected(net)
    for count, number in enumerate(range(3, 10)):
        assert found.enough is False and len(found.logs) == count
        run(found.add(net.confirmation(number, ASKER, ANSWERER, JOIN), TIME + 50))
    assert found.enough and found.needed == 7
    logs = [Log(data, net.net) for data in found.logs]
    link = net.genesis.link()
    private, public, certificate = net.board(ANSWERER)
    field = block.verification_field(public, False, link, logs)
    made = run(block.make(private, {"cert": certificate}, net.genesis, link, TIME + 100, 1, field))
    assert net.check(made, link).counter == 7  # n_j's block of its C2-2's logs


def test_one_signer_counts_once_in_whatever_dress():
    net = network()
    found = collected(net)
    log = net.confirmation(3, ASKER, ANSWERER, JOIN)
    run(found.add(log, None))
    assert raises(ChainError, found.add, log, None).field == "signer"
    again = net.confirmation(3, ASKER, ANSWERER, JOIN, ts=TIME + 20)
    assert raises(ChainError, found.add, again, None).field == "signer"
    assert len(found.logs) == 1


def test_a_revoked_board_and_one_whose_certificate_ended_confirm_nothing():
    net = network()
    log = net.confirmation(3, ASKER, ANSWERER, JOIN)
    revoked = [crypto.sha256(net.board(3)[1])[:20]]
    later = root.Root(run(root.build(net.root_body(2, revoked), [net.owner])))
    found = collected(net, Authority(later, True))
    assert raises(Untrusted, found.add, log, TIME).reason == "revoked"
    found = collected(net)
    assert raises(Untrusted, found.add, log, TIME + 10**8 + 1).reason == "expired"
    run(found.add(log, TIME + 10**8))
    assert raises(Untrusted, found.add, net.confirmation(4, ASKER, ANSWERER, JOIN), TIME + 10**9).reason == "expired"
    assert len(found.logs) == 1


def test_n_i_and_n_j_do_not_confirm():
    net = network()
    found = collected(net)
    own = net.confirmation(ANSWERER, ASKER, ANSWERER, JOIN)
    assert raises(ChainError, found.add, own, None).field == "signer"
    asker = net.confirmation(ASKER, ASKER, ANSWERER, JOIN)
    assert raises(ChainError, found.add, asker, None).field == "from"


def test_two_hundred_uncertified_ids_do_not_count():
    net = network()
    found = collected(net)
    operations = count_verifications(lambda: sybils(net, found, 200))
    assert found.logs == [] and operations == 0  # refused before any signature is looked at


def sybils(net, found, count):
    """`count` invented keys confirm, each with its work; signatures are not even made right."""
    template = decode(net.confirmation(3, ASKER, ANSWERER, JOIN))
    for n in range(count):
        public = b"\x04" + crypto.sha256(b"x%d" % n) + crypto.sha256(b"y%d" % n)
        body = {name: value for name, value in template.items() if name != "cert"}
        body["pu"] = public
        body["from"] = message.node_id(public, body["r"])
        body["nonce"] = run(confirm(JOIN, public, net.genesis.difficulty))
        assert raises(Untrusted, found.add, encode(body), None).reason == "certificate"


def count_verifications(function):
    """How many signatures are verified while `function` runs."""
    counted = [0]
    real = crypto.steps.verify_digest

    def counting(*args):
        counted[0] += 1
        return real(*args)

    crypto.steps.verify_digest = counting
    try:
        function()
    finally:
        crypto.steps.verify_digest = real
    return counted[0]


def test_boards_of_another_model_do_not_count():
    net = network()
    found = collected(net)
    for number in (20, 21):
        private, public, certificate = net.board(number, "kettle")
        body = decode(net.confirmation(number, ASKER, ANSWERER, JOIN))
        body["cert"] = certificate  # its real one: it speaks for lamps with a kettle's certificate
        del body["sig"]
        log = run(message.sign(private, body))
        assert raises(Untrusted, found.add, log, None).reason == "certificate"
    assert found.logs == []


def test_another_verifier_version_join_or_exchange_does_not_count():
    net = network()
    found = collected(net)

    def refused(field, join=JOIN, **changes):
        log = net.confirmation(3, ASKER, ANSWERER, join, **changes)
        assert count_verifications(lambda: check(log, field)) == 0

    def check(log, field):
        assert raises(ChainError, found.add, log, None).field == field

    refused("verifier", h=crypto.sha256(b"false firmware"))
    refused("verifier", v=b"1.0.1")
    refused("join", join=crypto.sha256(b"another join"))
    refused("req", req=b"r" * 20)
    refused("req", res=b"s" * 20)
    check(net.log(3), "join")
    assert raises(WireError, found.add, b"junk", None)
    assert found.logs == []


def test_a_confirmation_without_work_or_mined_before_r_was_known():
    net = network()
    found = collected(net)
    private, public, certificate = net.board(3)
    early = run(confirm(crypto.sha256(b"what could be known before r"), public, net.genesis.difficulty))
    lazy = early
    while True:  # a nonce that has no work for this join
        try:
            run(found.add(net.confirmation(3, ASKER, ANSWERER, JOIN, nonce=lazy), None))
            found = collected(net)
            lazy += 1
        except ChainError as error:
            assert error.field == "nonce"
            break
    assert found.logs == []


def test_a_forged_signature_does_not_use_up_the_signers_place():
    net = network()
    found = collected(net)
    log = net.confirmation(3, ASKER, ANSWERER, JOIN)
    body = decode(log)
    body["ts"] += 1
    assert raises(ChainError, found.add, encode(body), None).field == "signature"
    run(found.add(log, None))
    assert len(found.logs) == 1


def test_an_expired_certificate_does_not_count_when_the_time_is_known():
    net = network()
    found = collected(net)
    log = net.confirmation(4, ASKER, ANSWERER, JOIN)
    assert raises(Untrusted, found.add, log, TIME + 10**9).reason == "expired"
    run(found.add(log, None))
    assert len(found.logs) == 1 and key(104)[1] == net.board(4)[1]
