"""What does not count in C2-2, each by the rule that stops it."""

from c2_parts import FALSE, GENUINE, Exchange, R
from chain_parts import TIME
from fwnode import crypto
from fwnode.crypto import sha256
from fwnode.gate import MEMBERS, Gate, may_connect
from fwnode.roles.identity import Identity
from fwnode.roles.log import ANSWERED
from fwnode.roles.strangers import Replays
from fwnode.trust import Untrusted
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from support import raises, run


def joined(**changes):
    exchange = Exchange(**changes)
    join = exchange.join()
    run(exchange.fellows.receive(join))
    return exchange, join


def counted(machine, data, reason, source=None):
    """The machine drops `data` for exactly this reason."""
    machine.counters.by_reason.clear()
    actions = run(machine.receive(data)) if source is None else run(machine.receive(data, source))
    assert actions == [] and machine.counters.by_reason == {reason: 1}, (actions, machine.counters.by_reason)


def resigned(private, data, **changes):
    changed = decode(data)
    changed.update(changes)
    return run(message.sign(private, {key: value for key, value in changed.items() if value is not None}))


def test_sybils_without_certificates_count_nothing():
    exchange, join = joined()
    for _ in range(3):
        private = crypto.generate_key()
        sybil = Identity(
            private, crypto.public_key(private), ("pu", crypto.public_key(private)), "lamp", exchange.genesis.net, 4000
        )
        log = run(exchange.confirming(3, me=sybil).receive(join))[0][1]
        counted(exchange.n_j, log, "certificate")
        counted(exchange.fellows, log, "certificate")
    assert exchange.n_j.confirmations.logs == []


def test_a_certified_board_counts_once_whatever_it_sends():
    exchange, join = joined()
    log = exchange.confirmations(join, 1)[0]
    assert run(exchange.n_j.receive(log)) == [] and len(exchange.n_j.confirmations.logs) == 1
    counted(exchange.n_j, log, "signer")
    again = resigned(exchange.me(3).private, log, ts=TIME + 101)
    counted(exchange.n_j, again, "signer")


def test_neither_n_i_nor_n_j_confirms_itself():
    exchange, join = joined()
    for number in (1, 2):
        log = exchange.confirmations(join, 1)[0]
        me = exchange.me(number)
        forged = decode(log)
        forged["cert"] = me.credential[1]
        forged["from"] = message.node_id(me.public, R)
        data = run(message.sign(me.private, forged))
        run(exchange.n_j.receive(data))
    assert exchange.n_j.confirmations.logs == []


def test_another_model_or_verifier_or_exchange_does_not_count():
    exchange, join = joined()
    log = exchange.confirmations(join, 1)[0]
    private = exchange.me(3).private
    counted(exchange.n_j, resigned(private, log, h=FALSE), "verifier")
    counted(exchange.n_j, resigned(private, log, d=b"toaster"), "verifier")
    counted(exchange.n_j, resigned(private, log, v=b"9.0.0"), "verifier")
    counted(exchange.n_j, resigned(private, log, join=bytes(32)), "join")
    counted(exchange.n_j, resigned(private, log, res=bytes(20)), "req")


def test_a_confirmation_without_work_or_mined_before_r_was_known_does_not_count():
    """Its work is over the hash of the join, which holds n_i's r: there is nothing to mine before."""
    exchange, join = joined()
    log = exchange.confirmations(join, 1)[0]
    nonce = decode(log)["nonce"]
    public = exchange.me(3).public
    limit = (1 << 256) // exchange.genesis.difficulty
    while True:
        nonce = (nonce + 1) % (1 << 32)
        work = b"fwchain/1 confirm\x00" + sha256(join) + public + nonce.to_bytes(4, "little")
        if int.from_bytes(sha256(work), "big") >= limit:
            break
    exchange.n_j.counters.by_reason.clear()
    run(exchange.n_j.receive(resigned(exchange.me(3).private, log, nonce=nonce)))
    assert exchange.n_j.confirmations.logs == [] and exchange.n_j.counters.by_reason


def test_forged_truncated_and_oversized_logs_do_not_count():
    exchange, join = joined()
    log = exchange.confirmations(join, 1)[0]
    counted(exchange.n_j, encode(dict(decode(log), sig=bytes(63) + b"\x01")), "signature")
    for data in (log[:-1], log + b"e", b"", b"x" * 17000):
        counted(exchange.n_j, data, "malformed")


def test_an_answer_without_enough_confirmations_gets_no_verifier():
    exchange, join = joined()
    logs = exchange.confirmations(join, 2)
    for log in logs:
        actions = run(exchange.n_j.receive(log))
    counted(exchange.fellows, actions[0][2], "confirmations", "n_j")
    for log in logs[:1]:
        run(exchange.fellows.receive(log))
    counted(exchange.fellows, actions[0][2], "confirmations", "n_j")
    run(exchange.fellows.receive(logs[1]))
    assert run(exchange.fellows.receive(actions[0][2], "n_j"))


def test_an_equivocating_response_node_is_held_to_its_first_word():
    exchange, join = joined()
    other = resigned(exchange.me(2).private, join, h=FALSE)
    counted(exchange.fellows, other, "equivocation")
    counted(exchange.fellows, join, "replay")


def test_an_answerer_that_echoes_the_verifier_of_n_i_is_found_out():
    """n_i's firmware is tampered; n_j answers with whatever n_i told it: not what was confirmed, so an error."""
    exchange, join = joined(measured=FALSE)
    for log in exchange.confirmations(join, 2):
        run(exchange.fellows.receive(log))
        actions = run(exchange.n_j.receive(log))
    ask = run(exchange.fellows.receive(actions[0][2], "n_j"))[0][2]
    exchange.n_j.own.verifier = FALSE  # what it just heard
    echo = run(exchange.n_j.receive(ask))[0][2]
    ((kind, outcome, reason),) = run(exchange.fellows.receive(echo, "n_j"))
    assert outcome == "failed" and "another verifier" in reason


def test_a_confirming_node_confirms_only_what_it_knows():
    exchange, join = joined()
    counted(exchange.confirming(3, verifier=None), join, "unknown")
    counted(exchange.confirming(3, verifier=FALSE), join, "verifier")


def test_a_confirming_node_checks_join_and_request_before_it_works():
    exchange, join = joined()
    node = exchange.confirming(3)
    stranger = crypto.generate_key()
    for data, reason in (
        (resigned(exchange.me(2).private, join, net=bytes(8)), "network"),
        (resigned(exchange.me(2).private, join, id=bytes(20)), "ask"),
        (resigned(exchange.me(2).private, join, **{"from": bytes(20)}), "id"),
        (resigned(exchange.me(2).private, join, v=b"1.0.1"), "version"),
        (resigned(exchange.me(2).private, join, ts=TIME - 500), "time"),
        (resigned(exchange.me(2).private, join, cert=None), "certificate"),
        (resigned(stranger, join), "signature"),
        (join[:-1], "malformed"),
        (join + bytes(1200), "malformed"),
    ):
        counted(node, data, reason)
        node.replays = Replays()
    assert run(node.receive(join))
    counted(node, join, "replay")


def gate(now, every_ms=5000, burst=1, member_ms=1000):
    return Gate(every_ms, burst, member_ms, lambda: now[0])


def test_strangers_share_one_turn_in_five_seconds():
    now = [0]
    strangers = gate(now)
    assert strangers.take(b"a", "10.0.0.1") and not strangers.take(b"b", "10.0.0.2")
    now[0] = 4999
    assert not strangers.take(b"c", "10.0.0.3")
    now[0] = 5000
    assert strangers.take(b"c", "10.0.0.3") and not strangers.take(b"c", "10.0.0.3")


def test_a_member_of_the_fleet_is_not_held_up_by_strangers():
    now = [0]
    strangers = gate(now)
    strangers.know(b"member", "10.0.0.9")
    assert strangers.take(b"a", "10.0.0.1") and not strangers.take(b"b", "10.0.0.2")
    assert strangers.take(b"member", "10.0.0.9") and not strangers.take(b"member", "10.0.0.9")
    now[0] = 1000
    assert not strangers.take(b"member", "10.0.0.1")  # its key in somebody else's message
    assert strangers.take(b"member", "10.0.0.9")
    for number in range(2 * MEMBERS):
        strangers.know(b"%d" % number, "10.0.0.8")
    assert strangers.members == MEMBERS


def test_a_board_that_asked_itself_lets_the_answers_in():
    now = [0]
    strangers = gate(now, burst=4)
    strangers.expect(3)
    assert sum(strangers.take(b"%d" % number, "10.0.0.1") for number in range(20)) == 7
    strangers.expect(1000)
    assert sum(strangers.take(b"%d" % number, "10.0.0.1") for number in range(20)) == 8


def test_one_connection_to_an_address_that_a_datagram_named():
    seen = {}
    assert may_connect(seen, "10.0.0.1") and not may_connect(seen, "10.0.0.1") and may_connect(seen, "10.0.0.2")


def test_a_proof_of_work_has_a_budget_of_its_own():
    exchange, join = joined()
    node = exchange.confirming(3)
    asked = []
    node.may_work = lambda public: asked.append(public) or False
    counted(node, join, "busy")
    assert asked == [exchange.me(2).public]


def test_quiet_c2_n_j_gives_up_when_n_i_says_that_it_is_answered():
    from fwnode.roles.log import verification_log

    exchange = Exchange()
    exchange.n_j.consider(exchange.asked, "n_i", 500)
    said = run(verification_log(exchange.me(1), R, bytes(20), TIME, ANSWERED, "1.0.0", GENUINE))
    forged = resigned(exchange.me(9).private, said)
    counted(exchange.n_j, forged, "signature")
    named = run(verification_log(exchange.me(1), R, exchange.n_j.id, TIME, ANSWERED, "1.0.0", GENUINE))
    assert run(exchange.n_j.receive(named)) == []  # the answer that it names is n_j's own: n_j goes on
    assert run(exchange.n_j.receive(said))[0][1] == "quiet"


def test_requests_that_n_j_does_not_consider():
    exchange = Exchange()
    ask = exchange.asked
    private = exchange.me(1).private
    for data, reason in (
        (resigned(private, ask, net=bytes(8)), "network"),
        (resigned(private, ask, d=b"toaster"), "model"),
        (resigned(private, ask, r=5), "id"),
        (resigned(private, ask, ts=TIME - 500), "time"),
        (resigned(private, ask, cert=None, pu=exchange.me(1).public), "certificate"),
    ):
        assert raises(Untrusted, exchange.n_j.consider, data, "n_i", 0).reason == reason
    raises(WireError, exchange.n_j.consider, ask[:-1], "n_i", 0)
    exchange.n_j.consider(resigned(exchange.me(9).private, ask), "n_i", 0)
    assert run(exchange.n_j.elapsed())[0][1] == "dropped"


def test_n_j_that_gets_no_confirmations_ends_with_an_error():
    exchange, _ = joined()
    assert run(exchange.n_j.elapsed())[0][1] == "unconfirmed"
