"""The numbered steps of C2-1 (n_i's version is higher) and C2-3 (it is lower), paper 3.3.2.

M and L come from a real verification node; and once from the fellow itself, where no verification node can be reached.
"""

import world as worlds
from c2_parts import Exchange, Own, R
from fwnode.roles import END, SEND, UPDATE
from fwnode.roles.handing import C2_1, C2_3
from fwnode.roles.identity import Counters
from fwnode.roles.newer import Newer
from fwnode.roles.response import OUTDATED
from fwnode.wire import message
from support import run


def answered(theirs, ours):
    """An exchange in which n_j (version `ours`) has answered n_i (version `theirs`): (exchange, res_verchk)."""
    exchange = Exchange(running=theirs, own=Own(ours))
    exchange.n_j.consider(exchange.asked, "n_i", 0)
    actions = run(exchange.n_j.elapsed())
    assert actions[0][:2] == (SEND, "n_i")
    return exchange, actions[0][2]


def asking(k, newest="1.1.0", running="1.0.0"):
    """(world, a Newer that asks its real verification node)."""
    world = worlds.get()
    world.control(newest=newest, skew=0, forget=True)
    public = world.root.nodes[0]
    node = message.key_id(public)
    return world, Newer(world.me, running, world.root, worlds.Clock(), Counters(), R, k, node, public, world.url)


def test_c2_1_step_1_request_node_broadcasts_pu_id_d_v_r():
    exchange, _ = answered("1.1.0", "1.0.0")
    assert message.parse(exchange.asked)["v"] == b"1.1.0"


def test_c2_1_step_2_response_node_finds_the_higher_version():
    exchange, _ = answered("1.1.0", "1.0.0")
    assert exchange.n_j.state == "noticed"


def test_c2_1_step_3_answer_is_sealed_v1_r_plus_1_idn_j():
    exchange, data = answered("1.1.0", "1.0.0")
    sealed = run(message.unseal(exchange.me(1).private, message.parse(data)))
    assert sealed["v"] == b"1.0.0" and sealed["r"] == message.next_r(R, 1) and sealed["id"] == exchange.n_j.id


def test_c2_1_steps_4_and_5_request_node_sends_notice_download_v1_r_plus_2_signed():
    exchange, data = answered("1.1.0", "1.0.0")
    ((kind, source, notice),) = run(exchange.fellows.receive(data, "n_j"))
    parsed = message.parse(notice)
    assert (kind, source) == (SEND, "n_j") and parsed["t"] == b"notice_download"
    assert parsed["from"] == exchange.n_i.id and parsed["v"] == b"1.0.0" and parsed["r"] == message.next_r(R, 2)
    assert run(message.verify(parsed, exchange.me(1).public))


def test_c2_1_step_6_response_node_verifies_the_notice():
    exchange, data = answered("1.1.0", "1.0.0")
    notice = run(exchange.fellows.receive(data, "n_j"))[0][2]
    forged = run(message.sign(exchange.me(9).private, message.parse(notice)))
    assert run(exchange.n_j.receive(forged)) == [] and exchange.n_j.counters.by_reason == {"signature": 1}
    assert run(exchange.n_j.receive(notice)) == [(END, OUTDATED, "1.1.0")]


def test_c2_1_step_7_req_metadata_has_idn_j_v1_d_r_plus_3_sealed_and_pu():
    world, newer = asking(C2_1)
    ask = message.parse(run(newer.begin())[0][2])
    assert ask["t"] == b"req_metadata" and ask["r"] == message.next_r(R, 3) and ask["cert"] == world.certificate


def test_c2_1_steps_8_and_9_verification_node_finds_m_and_seals_it_with_r_plus_4():
    world, newer = asking(C2_1)
    reply, sealed = worlds.opened(world.private, world.send(run(newer.begin())[0][2]))
    assert sealed == {"m": world.metainfo["1.1.0"], "r": message.next_r(R, 4)}


def test_c2_1_steps_10_and_11_verifier_out_of_m_goes_sealed_with_r_plus_5():
    world, newer = asking(C2_1)
    _, actions = worlds.step(newer, run(newer.begin()), world)
    ask = message.parse(actions[0][2])
    assert newer.release.verifier == world.release("1.1.0").verifier
    assert ask["t"] == b"req_download" and ask["r"] == message.next_r(R, 5)


def test_c2_1_steps_12_to_14_peer_list_with_r_plus_6_begins_the_download():
    world, newer = asking(C2_1)
    _, actions = worlds.step(newer, run(newer.begin()), world)
    reply, actions = worlds.step(newer, actions, world)
    assert message.parse(reply)["r"] == message.next_r(R, 6)
    assert actions[0][0] == UPDATE and actions[0][1].version == "1.1.0" and len(actions[0][2]) == 2


def test_c2_1_step_9_a_signed_none_when_nothing_newer_is_known():
    world, newer = asking(C2_1, newest="1.0.0")
    _, actions = worlds.step(newer, run(newer.begin()), world)
    assert actions[0][0] == END and "none newer" in actions[0][2]


def test_c2_3_steps_1_and_2_response_node_finds_the_lower_version():
    exchange, _ = answered("1.0.0", "1.1.0")
    assert exchange.n_j.state == "handing"


def test_c2_3_steps_3_and_4_request_node_learns_that_its_version_is_lower():
    exchange, data = answered("1.0.0", "1.1.0")
    assert run(exchange.fellows.receive(data, "n_j")) == []
    (fellow,) = exchange.fellows.newer
    assert fellow.public == exchange.me(2).public and fellow.source == "n_j"


def test_c2_3_steps_5_to_7_metadata_is_asked_with_r_plus_2_and_comes_with_r_plus_3():
    world, newer = asking(C2_3)
    actions = run(newer.begin())
    assert message.parse(actions[0][2])["r"] == message.next_r(R, 2)
    reply, sealed = worlds.opened(world.private, world.send(actions[0][2]))
    assert reply["r"] == sealed["r"] == message.next_r(R, 3) and sealed["m"] == world.metainfo["1.1.0"]


def test_c2_3_steps_8_and_9_verifier_out_of_m_goes_sealed_with_r_plus_4():
    world, newer = asking(C2_3)
    _, actions = worlds.step(newer, run(newer.begin()), world)
    assert message.parse(actions[0][2])["r"] == message.next_r(R, 4)


def test_c2_3_steps_10_to_12_peer_list_with_r_plus_5_begins_the_download():
    world, newer = asking(C2_3)
    _, actions = worlds.step(newer, run(newer.begin()), world)
    reply, actions = worlds.step(newer, actions, world)
    assert message.parse(reply)["r"] == message.next_r(R, 5)
    assert actions[0][0] == UPDATE and actions[0][1].version == "1.1.0" and not actions[0][3]


def test_without_a_verification_node_the_fellow_hands_over_its_own_m_and_is_the_first_peer():
    """Addition 9: the fleet still updates; the vendor's signature is what counts, whoever hands M over."""
    world = worlds.get()
    release = world.release("1.1.0")
    exchange = Exchange(running="1.0.0", own=Own("1.1.0", release.verifier, release.metainfo, release.info_hash))
    exchange.n_i.me.model = exchange.n_j.me.model = "lamp"
    exchange.n_j.consider(exchange.asked, "n_i", 0)
    run(exchange.fellows.receive(run(exchange.n_j.elapsed())[0][2], "n_j"))
    (fellow,) = exchange.fellows.newer
    me = exchange.me(1)
    newer = Newer(me, "1.0.0", world.root, exchange.clock, Counters(), R, C2_3, fellow.node, fellow.public, "n_j")
    reply = run(exchange.n_j.receive(run(newer.begin())[0][2]))[0][2]
    ((kind, _, reason),) = run(newer.receive(reply))
    assert kind == END and "for model thermometer, this is lamp" in reason  # a fellow's word opens no door
    newer.state = "metadata"
    newer.me.model = "thermometer"
    ask = run(newer.receive(reply))[0][2]
    actions = run(exchange.n_j.receive(ask))
    ((kind, _, peers, _),) = run(newer.receive(actions[0][2]))
    assert kind == UPDATE and peers == [("127.0.0.2", 4002, True)]


def test_hostile_answers_to_newer_change_nothing():
    world, newer = asking(C2_3)
    reply = world.send(run(newer.begin())[0][2])
    parsed = message.parse(reply)
    for changes, reason in (({"net": bytes(8)}, "network"), ({"to": bytes(20)}, "id"), ({"r": R}, "r")):
        newer.counters.by_reason.clear()
        wrong = dict(parsed)
        wrong.update(changes)
        assert run(newer.receive(message.encode(wrong))) == [] and newer.counters.by_reason == {reason: 1}
    newer.counters.by_reason.clear()
    assert run(newer.receive(reply[:-1])) == [] and newer.counters.by_reason == {"malformed": 1}
    newer.counters.by_reason.clear()
    wrong = dict(parsed, sig=bytes(63) + b"\x01")
    assert run(newer.receive(message.encode(wrong))) == [] and newer.counters.by_reason == {"signature": 1}


def test_newer_asks_three_times_and_then_ends():
    world, newer = asking(C2_3)
    actions = run(newer.begin())
    assert run(newer.expire()) == actions and run(newer.expire()) == actions
    assert run(newer.expire())[0][0] == END


def test_c2_1_without_a_verification_node_n_i_hands_over_its_own_m():
    """Addition 9, the other way round: n_j, told by notice_download, comes back to n_i with r + 3."""
    world = worlds.get()
    release = world.release("1.1.0")
    exchange = Exchange(running="1.1.0", own=Own("1.0.0"))
    exchange.n_i.me.model = exchange.n_j.me.model = "thermometer"
    exchange.fellows.own = Own("1.1.0", release.verifier, release.metainfo, release.info_hash)
    exchange.n_j.ask = message.parse(exchange.asked)
    exchange.n_j.asked, exchange.n_j.asker, exchange.n_j.source = exchange.asked, exchange.me(1).public, "n_i"
    exchange.n_j.r, exchange.n_j.id, exchange.n_j.state = R, message.node_id(exchange.me(2).public, R), "waiting"
    run(exchange.fellows.receive(run(exchange.n_j.elapsed())[0][2], "n_j"))
    assert exchange.fellows.older == 1
    me = exchange.n_j.me
    n_i = (exchange.n_i.id, exchange.me(1).public, "n_i")
    newer = Newer(me, "1.0.0", world.root, exchange.clock, Counters(), R, C2_1, *n_i)
    asked = run(newer.begin())[0][2]
    assert message.parse(asked)["r"] == message.next_r(R, 3)
    ((_, _, reply),) = run(exchange.fellows.receive(asked, "n_j"))
    ask = run(newer.receive(reply))[0][2]
    ((_, _, reply),) = run(exchange.fellows.receive(ask, "n_j"))
    ((kind, got, peers, repair),) = run(newer.receive(reply))
    assert kind == UPDATE and got.version == "1.1.0" and peers == [("127.0.0.2", 4002, True)] and not repair


def test_c2_3_an_answer_that_names_this_node_does_not_silence_it():
    from fwnode.roles.log import ANSWERED, verification_log

    exchange, _ = answered("1.0.0", "1.1.0")
    for node, state in ((exchange.n_j.id, "handing"), (bytes(20), "over")):
        log = run(verification_log(exchange.me(1), R, node, 0, ANSWERED, "1.0.0", bytes(32)))
        run(exchange.n_j.receive(log))
        assert exchange.n_j.state == state
