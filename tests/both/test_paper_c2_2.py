"""The numbered steps of C2-2 (paper 3.3.2): equal versions, confirmed by more than six others."""

from c2_parts import FALSE, GENUINE, Exchange, Own, R, Whole
from chain_parts import MODEL, TIME
from fwnode.crypto import sha256
from fwnode.roles import BROADCAST, END, SEND
from fwnode.roles.log import ANSWERED, CURRENT, TAMPERED
from fwnode.wire import message
from support import run

_kept = []


def whole():
    """One whole exchange for all tests that only look."""
    if not _kept:
        _kept.append(Whole())
    return _kept[0]


def test_c2_2_step_1_request_node_broadcasts_pu_id_d_v_r():
    ask = message.parse(whole().exchange.asked)
    assert ask["t"] == b"req_verchk" and ask["to"] == b"" and ask["v"] == b"1.0.0" and ask["d"] == MODEL.encode()
    assert ask["from"] == message.node_id(whole().exchange.me(1).public, R) and "cert" in ask


def test_c2_2_step_2_response_node_compares_v_and_v1_and_has_its_verifier():
    exchange = Exchange()
    assert exchange.n_j.consider(exchange.asked, "n_i", 500) and exchange.n_j.wait_ms == 500
    assert exchange.n_j.own.verifier == GENUINE


def test_c2_2_step_3_join_verification_has_idn_i_idn_j_d_and_verifier():
    run_ = whole()
    join = message.parse(run_.join)
    assert join["t"] == b"join_verification" and join["to"] == b""
    assert join["id"] == run_.exchange.n_i.id and join["from"] == run_.exchange.n_j.id
    assert join["d"] == MODEL.encode() and join["h"] == GENUINE and join["ask"] == run_.exchange.asked
    assert run(message.verify(join, run_.exchange.me(2).public)) and len(run_.join) < 1200


def test_c2_2_step_3_others_work_and_broadcast_their_verification_log():
    run_ = whole()
    log = message.parse(run_.logs[0])
    assert log["req"] == run_.exchange.n_i.id and log["res"] == run_.exchange.n_j.id and log["ts"] == TIME + 100
    assert log["join"] == sha256(run_.join) and log["o"] == b"confirmed"
    work = b"fwchain/1 confirm\x00" + log["join"] + run_.exchange.me(3).public + log["nonce"].to_bytes(4, "little")
    assert int.from_bytes(sha256(work), "big") < (1 << 256) // run_.exchange.genesis.difficulty


def test_c2_2_step_4_response_node_answers_after_more_than_six_logs():
    run_ = whole()
    assert run_.before[:6] == [[]] * 6
    assert run_.before[6][0][:2] == (SEND, "n_i")
    reply = message.parse(run_.res_verchk)
    sealed = run(message.unseal(run_.exchange.me(1).private, reply))
    assert reply["t"] == b"res_verchk" and sealed["v"] == b"1.0.0"
    assert sealed["r"] == message.next_r(R, 1) and sealed["id"] == run_.exchange.n_j.id
    assert sealed["pu"] == run_.exchange.me(2).public


def test_c2_2_step_5_request_node_checks_r_plus_1_and_generates_its_verifier():
    assert whole().exchange.n_i.verifier == GENUINE


def test_c2_2_step_6_verifier_and_r_plus_2_go_sealed_and_signed():
    run_ = whole()
    ask = message.parse(run_.req_verification)
    assert ask["t"] == b"req_verification" and ask["r"] == message.next_r(R, 2)
    assert run(message.verify(ask, run_.exchange.me(1).public))
    assert run(message.unseal(run_.exchange.me(2).private, ask)) == {"h": GENUINE, "r": message.next_r(R, 2)}


def test_c2_2_step_7_response_node_checks_signature_and_r_plus_2():
    exchange = Exchange()
    join = exchange.join()
    run(exchange.fellows.receive(join))
    for log in exchange.confirmations(join, 2):
        run(exchange.fellows.receive(log))
        actions = run(exchange.n_j.receive(log))
    ask = message.parse(run(exchange.fellows.receive(actions[0][2], "n_j"))[0][2])
    for changes, reason in (({"r": R}, "r"), ({"from": bytes(20)}, "id")):
        wrong = dict(ask)
        wrong.update(changes)
        data = run(message.sign(exchange.me(1).private, wrong))
        assert run(exchange.n_j.receive(data)) == [] and exchange.n_j.counters.by_reason.get(reason) == 1
    assert run(exchange.n_j.receive(run(message.sign(exchange.me(9).private, dict(ask))))) == []
    assert exchange.n_j.counters.by_reason["signature"] == 1
    assert exchange.n_j.state == "comparing"


def test_c2_2_step_8_response_nodes_verifier_and_r_plus_3_come_sealed_and_signed():
    run_ = whole()
    reply = message.parse(run_.res_verification)
    assert run(message.verify(reply, run_.exchange.me(2).public))
    sealed = run(message.unseal(run_.exchange.me(1).private, reply))
    assert sealed == {"h": GENUINE, "r": message.next_r(R, 3)}
    assert run_.answer[1] == (END, ANSWERED, "")


def test_c2_2_step_9_equal_verifiers_finish_it():
    assert whole().end == [(END, CURRENT, "")]


def test_c2_2_step_9_unequal_verifiers_lead_to_a_download():
    tampered = Whole(FALSE, 2)
    assert tampered.end[0][:2] == (END, TAMPERED)


def test_the_broadcasts_name_everybody_by_kind():
    exchange = Exchange()
    exchange.n_j.consider(exchange.asked, "n_i", 0)
    assert run(exchange.n_j.elapsed())[0][0] == BROADCAST


def test_c2_2_step_9_a_tampered_n_i_gets_the_same_version_anew_from_n_j():
    """As in C2-3, with r + 4: the numbers up to r + 3 are used up."""
    import world as worlds
    from fwnode.roles import UPDATE
    from fwnode.roles.handing import REPAIR
    from fwnode.roles.identity import Counters
    from fwnode.roles.newer import Newer

    world = worlds.get()
    release = world.release("1.1.0")
    tampered = Whole(FALSE, 2)
    n_j = tampered.exchange.n_j
    assert n_j.state == "handing"
    n_j.me.model = "thermometer"
    n_j.own = n_j.handing.own = Own("1.1.0", release.verifier, release.metainfo, release.info_hash)
    me = tampered.exchange.me(1)
    me.model = "thermometer"
    node = (n_j.id, tampered.exchange.me(2).public, "n_j")
    newer = Newer(me, "1.1.0", world.root, tampered.exchange.clock, Counters(), R, REPAIR, *node)
    asked = run(newer.begin())[0][2]
    assert message.parse(asked)["r"] == message.next_r(R, 4)
    ask = run(newer.receive(run(n_j.receive(asked))[0][2]))[0][2]
    sent, ended = run(n_j.receive(ask))
    assert ended == (END, ANSWERED, "n_i is tampered")
    ((kind, got, _, repair),) = run(newer.receive(sent[2]))
    assert kind == UPDATE and got.verifier == release.verifier and repair
