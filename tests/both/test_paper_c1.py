"""The numbered steps of C1-1 and C1-2 (paper 3.3.1), against a real verification node's exchange."""

import world as worlds
from fwnode.roles import BROADCAST, END, SEND, UPDATE
from fwnode.roles.log import CURRENT
from fwnode.wire import message
from support import run


def asked(newest="1.0.0", **changes):
    """(world, request, its broadcast) with the newest version that the verification node shows."""
    world = worlds.get()
    world.control(newest=newest, skew=0, forget=True)
    request = world.request(**changes)
    return world, request, run(request.begin())


def test_c1_1_step_1_request_node_broadcasts_pu_id_d_v_r():
    world, request, actions = asked()
    assert [action[0] for action in actions] == [BROADCAST]
    ask = message.parse(actions[0][1])
    assert ask["t"] == b"req_verchk" and ask["to"] == b""
    assert ask["cert"] == world.certificate and ask["from"] == message.node_id(world.public, request.r)
    assert ask["d"] == b"thermometer" and ask["v"] == b"1.0.0" and ask["r"] == request.r
    assert run(message.verify(ask, world.public))


def test_c1_1_step_2_verification_node_finds_the_newest_version_by_id_d_v():
    world, request, actions = asked()
    world.send(actions[0][1])
    (seen,) = world.control()["seen"]
    assert seen["kind"] == "verchk" and seen["version"] == "1.0.0" and seen["newest"] == "1.0.0"
    assert seen["node"] == "".join("%02x" % byte for byte in request.id)


def test_c1_1_step_3_answer_is_sealed_v_new_r_plus_1_idv():
    world, request, actions = asked()
    reply, sealed = worlds.opened(world.private, world.send(actions[0][1]))
    assert reply["t"] == b"res_verchk" and reply["to"] == request.id
    assert sealed["v"] == b"1.0.0" and sealed["r"] == message.next_r(request.r, 1)
    assert sealed["id"] == message.key_id(world.root.nodes[0]) == reply["from"]
    assert "m" not in sealed and "v" not in reply and run(message.verify(reply, world.root.nodes[0]))


def test_c1_1_step_4_equal_versions_make_the_request_node_generate_its_verifier():
    world, request, actions = asked()
    assert request.verifier is None
    worlds.step(request, actions, world)
    assert request.verifier == world.release("1.0.0").verifier


def test_c1_1_step_4_a_verification_node_that_is_behind_ends_it_with_an_error():
    world, request, actions = asked(newest="1.0.0", running="1.1.0")
    _, actions = worlds.step(request, actions, world)
    assert actions[0][:2] == (END, "failed") and "1.0.0 at most" in actions[0][2]


def test_c1_1_step_5_verifier_and_r_plus_2_go_sealed_and_signed():
    world, request, actions = asked()
    _, actions = worlds.step(request, actions, world)
    assert actions[0][0] == SEND
    ask = message.parse(actions[0][2])
    assert ask["t"] == b"req_verification" and ask["r"] == message.next_r(request.r, 2)
    assert request.verifier not in actions[0][2] and run(message.verify(ask, world.public))


def test_c1_1_step_6_verification_node_checks_signature_and_r_plus_2():
    world, request, actions = asked()
    _, actions = worlds.step(request, actions, world)
    ask = message.parse(actions[0][2])
    wrong = dict(ask, r=message.next_r(request.r, 3))
    assert world.dropped(run(message.sign(world.private, wrong))) == ["r"]
    broken = dict(ask, sig=bytes(63) + b"\x01")
    assert world.dropped(message.encode(broken)) == ["signature"]
    world.control(forget=True)
    world.send(actions[0][2])
    assert world.control()["seen"][0]["genuine"] is True


def test_c1_1_step_7_verifier_of_the_newest_and_r_plus_3_come_sealed_and_signed():
    world, request, actions = asked()
    _, actions = worlds.step(request, actions, world)
    reply, sealed = worlds.opened(world.private, world.send(actions[0][2]))
    assert reply["t"] == b"res_verification" and run(message.verify(reply, world.root.nodes[0]))
    assert sealed == {"h": world.release("1.0.0").verifier, "r": message.next_r(request.r, 3)}


def test_c1_1_step_8_equal_verifiers_finish_it():
    world, request, actions = asked()
    _, actions = worlds.step(request, actions, world)
    _, actions = worlds.step(request, actions, world)
    assert actions == [(END, CURRENT, "")]
    assert request.clock.now() > 1700000000


def test_c1_1_step_8_unequal_verifiers_download_the_same_version_anew():
    world, request, actions = asked(verifier=b"\x05" * 32)
    for kind, k in (("req_verification", 2), ("req_metadata", 4), ("req_download", 6)):
        _, actions = worlds.step(request, actions, world)
        ask = message.parse(actions[0][2])
        assert message.kind_of(ask) == kind and ask["r"] == message.next_r(request.r, k), kind
    _, actions = worlds.step(request, actions, world)
    kind, release, peers, repair = actions[0]
    assert kind == UPDATE and release.version == "1.0.0" and repair
    assert peers == [("127.0.0.1", 40000, True), ("127.0.0.2", 40001, False)]


def test_c1_2_step_1_request_node_broadcasts_as_in_c1_1():
    world, request, actions = asked(newest="1.1.0")
    assert message.parse(actions[0][1])["v"] == b"1.0.0"


def test_c1_2_step_2_verification_node_finds_a_newer_version():
    world, request, actions = asked(newest="1.1.0")
    world.send(actions[0][1])
    assert world.control()["seen"][0]["newest"] == "1.1.0"


def test_c1_2_step_3_answer_is_sealed_v_new_m_r_plus_1_idv():
    world, request, actions = asked(newest="1.1.0")
    reply, sealed = worlds.opened(world.private, world.send(actions[0][1]))
    assert sealed["v"] == b"1.1.0" and sealed["m"] == world.metainfo["1.1.0"]
    assert sealed["r"] == message.next_r(request.r, 1) and sealed["id"] == reply["from"]


def test_c1_2_step_4_request_node_obtains_the_new_verifier_from_m():
    world, request, actions = asked(newest="1.1.0")
    worlds.step(request, actions, world)
    assert request.release.verifier == world.release("1.1.0").verifier


def test_c1_2_step_5_id_and_verifier_and_r_plus_2_go_sealed_v_new_in_clear():
    world, request, actions = asked(newest="1.1.0")
    _, actions = worlds.step(request, actions, world)
    ask = message.parse(actions[0][2])
    assert ask["t"] == b"req_download" and ask["v"] == b"1.1.0" and ask["r"] == message.next_r(request.r, 2)
    assert request.release.verifier not in actions[0][2]


def test_c1_2_step_6_verification_node_checks_the_verifier():
    world, request, actions = asked(newest="1.1.0")
    answer = world.send(actions[0][1])
    run(request.receive(answer, world.url))
    request.release.verifier = b"\x09" * 32
    (action,) = run(request._ask_peers(2))
    assert world.dropped(action[2]) == ["unknown-release"]


def test_c1_2_step_7_peer_list_comes_sealed_and_signed():
    world, request, actions = asked(newest="1.1.0")
    _, actions = worlds.step(request, actions, world)
    reply, sealed = worlds.opened(world.private, world.send(actions[0][2]))
    assert reply["t"] == b"res_download" and reply["v"] == b"1.1.0"
    assert sealed["r"] == message.next_r(request.r, 3) and sealed["id"] == reply["from"]
    assert sealed["l"]["info-hash"] == request.release.info_hash and len(sealed["l"]["peers"]) == 14


def test_c1_2_step_8_request_node_can_download_from_the_peers():
    world, request, actions = asked(newest="1.1.0")
    _, actions = worlds.step(request, actions, world)
    _, actions = worlds.step(request, actions, world)
    kind, release, peers, repair = actions[0]
    assert kind == UPDATE and release.version == "1.1.0" and not repair and len(peers) == 2
