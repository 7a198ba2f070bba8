"""Each of the four answers of an exchange is held to the same rules, and several verification nodes to one decision."""

import world as worlds
from fwnode.roles import END, SEND, UPDATE
from fwnode.roles import peers as peer_list
from fwnode.roles.log import CURRENT
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from support import raises, run

ANSWERS = ("res_verchk", "res_verification", "res_metadata", "res_download")
OTHER = "http://192.0.2.1:4567"  # where the second verification node is


def begun(newest="1.0.0", **changes):
    """(world, request, its broadcast), with the newest version that the verification node shows."""
    world = worlds.get()
    world.control(newest=newest, skew=0, forget=True)
    request = world.request(**changes)
    return world, request, run(request.begin())


def exchange():
    """Yield (world, request, the answer that it awaits) for each answer of the longest exchange: C1-1 with repair."""
    world, request, actions = begun(verifier=b"\x05" * 32)
    for kind in ANSWERS:
        answer = world.send(actions[0][-1])
        assert message.kind_of(message.parse(answer)) == kind
        yield world, request, answer
        actions = run(request.receive(answer, world.url))
    assert actions[0][0] == UPDATE and request.counters.by_reason == {}


def refused(request, data, reason):
    """Nothing comes of `data` but a count for `reason`, which is taken back."""
    before = (request.state, len(request.answers), request.with_node)
    assert run(request.receive(data, "somewhere")) == []
    assert request.counters.by_reason == {reason: 1}, request.counters.by_reason
    assert before == (request.state, len(request.answers), request.with_node)
    request.counters.by_reason.clear()


def changed(data, **fields):
    """The message with fields replaced, its signature no longer right."""
    parsed = decode(data)
    parsed.update(fields)
    return encode(parsed)


def signed(private, data, **clear):
    """The message with clear fields replaced (None: removed) and a right signature of `private`; its box as it was."""
    parsed = decode(data)
    parsed.update(clear)
    return run(message.sign(private, {key: value for key, value in parsed.items() if value is not None}))


def forged(world, data, clear=None, **sealed):
    """The answer with other sealed and clear fields, all as the verification node's own key can make it."""
    parsed, inside = worlds.opened(world.private, data)
    inside.update(sealed)
    parsed.update(clear or {})
    parsed = {key: value for key, value in parsed.items() if key not in ("box", "sig") and value is not None}
    run(message.seal(world.public, parsed, inside))
    return run(message.sign(world.node, parsed))


def from_other(world, data, **sealed):
    """The answer as the other verification node of the same trust root would give it."""
    parsed, inside = worlds.opened(world.private, data)
    parsed = {key: value for key, value in parsed.items() if key not in ("box", "sig")}
    parsed["from"] = message.key_id(world.root.nodes[1])
    inside.update(sealed)
    if "id" in inside:
        inside["id"] = parsed["from"]
    run(message.seal(world.public, parsed, inside))
    return run(message.sign(world.other_node, parsed))


def ended(actions, text):
    """The exchange ended with an error that says `text`."""
    ((kind, outcome, reason),) = actions
    assert (kind, outcome) == (END, "failed") and text in reason, actions


def test_each_answer_changed_by_somebody_is_dropped():
    for world, request, answer in exchange():
        refused(request, changed(answer, sig=bytes(63) + b"\x01"), "signature")
        refused(request, changed(answer, net=bytes(8)), "network")
        refused(request, changed(answer, to=bytes(20)), "id")
        refused(request, changed(answer, r=request.r), "r")
        refused(request, changed(answer, extra=1), "malformed")
        refused(request, answer[:-1], "malformed")
        box = bytearray(decode(answer)["box"])
        box[-1] ^= 1
        refused(request, signed(world.node, answer, box=bytes(box)), "box")


def test_each_answer_replayed_counts_nothing():
    before = []
    for _, request, answer in exchange():
        for old in before:
            refused(request, old, "state")
        before.append(answer)
    for old in before:
        refused(request, old, "state")


def test_each_answer_of_another_exchange_counts_nothing():
    other = [answer for _, _, answer in exchange()]
    world, request, actions = begun(verifier=b"\x05" * 32, r=77)
    for old in other:
        refused(request, old, "id")
        actions = run(request.receive(world.send(actions[0][-1]), world.url))
    assert actions[0][0] == UPDATE


def test_a_sealed_r_that_is_not_the_clear_one_is_dropped():
    for world, request, answer in exchange():
        refused(request, forged(world, answer, r=message.next_r(decode(answer)["r"], 1)), "box")


def test_who_answered_first_is_the_one_that_the_exchange_goes_on_with():
    for world, request, answer in exchange():
        if request.with_node:
            refused(request, from_other(world, answer), "id")


def test_time_is_learnt_from_an_answer_and_at_most_to_the_trust_roots_expiry():
    world, request, actions = begun()
    answer = world.send(actions[0][1])
    beyond = forged(world, answer, {"ts": world.root.expires + 1000})
    # one second after its end, and no more: what the root signed has ended then
    assert run(request.receive(beyond, world.url))[0][0] == SEND and request.clock.time == world.root.expires + 1
    _, request, actions = begun()
    last = forged(world, world.send(actions[0][1]), {"ts": world.root.expires})
    assert run(request.receive(last, world.url))[0][0] == SEND and request.clock.time == world.root.expires


def test_a_peer_list_is_held_to_its_limits():
    info_hash = b"\x0a" * 20
    peers = [("10.0.0.%d" % n, 1024 + n, n % 2 == 0) for n in range(peer_list.MAX_PEERS + 1)]
    packed = peer_list.pack(info_hash, peers)
    assert peer_list.unpack(packed, info_hash) == peers[:-1]
    row = bytes([10, 0, 0, 1, 4, 0, 1])
    for wrong in (1, [row], row[:-1], row * (peer_list.MAX_PEERS + 1)):
        error = raises(WireError, peer_list.unpack, {"info-hash": info_hash, "peers": wrong}, info_hash)
        assert "at most 32 entries of 7 bytes" in str(error)
    for other in ({"info-hash": bytes(20), "peers": row}, {"peers": row}):
        assert "not the release's" in str(raises(WireError, peer_list.unpack, other, info_hash))


def test_ports_below_1024_are_left_out_of_a_peer_list():
    """A signed list cannot be aimed at a service of somebody else's (design: addition 10)."""
    rows = bytes([10, 0, 0, 1, 3, 255, 1]) + bytes([10, 0, 0, 2, 4, 0, 0]) + bytes([10, 0, 0, 3, 0, 80, 1])
    assert peer_list.unpack({"info-hash": b"", "peers": rows}, b"") == [("10.0.0.2", 1024, False)]


# what the key of a verification node, stolen, could say


def test_an_answer_that_lacks_or_contradicts_what_it_must_hold_ends_in_an_error():
    contradictions = {
        "res_verchk": (({}, {"id": bytes(20)}, "id is not the sender's"), ({"ticket": None}, {}, "no ticket")),
        "res_verification": (),
        "res_metadata": (({"ticket": None}, {}, "ticket is missing"), ({}, {"m": b""}, "m: empty")),
        "res_download": (
            ({}, {"id": bytes(20)}, "id is not the sender's"),
            ({}, {"l": {"info-hash": bytes(20), "peers": b""}}, "info-hash: not the release's"),
            ({}, {"l": {"info-hash": bytes(20), "peers": 1}}, "l: "),
        ),
    }
    for kind in ANSWERS:
        for clear, sealed, text in contradictions[kind]:
            for world, request, answer in exchange():
                if message.kind_of(message.parse(answer)) == kind:
                    ended(run(request.receive(forged(world, answer, clear, **sealed), world.url)), text)
                    break


def test_metadata_of_another_model_or_version_ends_in_an_error():
    world, request, actions = begun(newest="1.1.0")
    answer = world.send(actions[0][1])
    ended(run(request.receive(forged(world, answer, m=world.foreign), world.url)), "for model toaster")
    _, request, actions = begun(newest="1.1.0")
    answer = world.send(actions[0][1])
    ended(run(request.receive(forged(world, answer, m=world.metainfo["1.0.0"]), world.url)), "1.0.0 in M")
    for world, request, answer in exchange():
        if request.state == "metadata":
            newer = forged(world, answer, m=world.metainfo["1.1.0"])
            ended(run(request.receive(newer, world.url)), "1.0.0 announced, 1.1.0 in M")
            break


def test_a_verifier_that_the_vendor_did_not_sign_is_disputed_and_repairs_nothing():
    """The node says that genuine firmware is tampered; M, signed by the vendor, says otherwise."""
    world, request, actions = begun()
    _, actions = worlds.step(request, actions, world)
    lie = forged(world, world.send(actions[0][2]), h=b"\x09" * 32)
    actions = run(request.receive(lie, world.url))
    assert message.kind_of(message.parse(actions[0][2])) == "req_metadata"
    ended(run(request.receive(world.send(actions[0][2]), world.url)), "not the one that the vendor signed")


# several verification nodes


def test_the_newest_of_several_answers_is_taken():
    world, request, actions = begun(newest="1.0.0", asked=2)
    old = world.send(actions[0][1])
    new = from_other(world, old, v=b"1.1.0", m=world.metainfo["1.1.0"])
    assert run(request.receive(old, world.url)) == []
    ((kind, where, data),) = run(request.receive(new, OTHER))
    assert (kind, where) == (SEND, OTHER) and message.parse(data)["to"] == message.key_id(world.root.nodes[1])


def test_an_answer_whose_release_does_not_hold_is_passed_over_for_the_next():
    world, request, actions = begun(newest="1.0.0", asked=2)
    old = world.send(actions[0][1])
    unsigned = encode(dict(decode(world.metainfo["1.1.0"]), **{"release-sigs": []}))
    assert run(request.receive(from_other(world, old, v=b"1.1.0", m=unsigned), OTHER)) == []
    ((kind, where, data),) = run(request.receive(old, world.url))
    assert (kind, where) == (SEND, world.url) and message.kind_of(message.parse(data)) == "req_verification"
    assert request.counters.by_reason == {"release": 1}


def test_a_node_that_cannot_be_reached_is_not_waited_for():
    world, request, actions = begun(asked=2)
    answer = world.send(actions[0][1])
    assert run(request.failed(OTHER)) == []
    assert run(request.receive(answer, world.url))[0][0] == SEND
    _, request, actions = begun(asked=2)
    assert run(request.receive(world.send(actions[0][1]), world.url)) == []
    assert run(request.failed(OTHER))[0][0] == SEND
    _, request, actions = begun(asked=3)
    assert run(request.receive(world.send(actions[0][1]), world.url)) == []
    assert run(request.failed(OTHER)) == []  # the third may still answer


def test_the_window_ends_with_what_there_is():
    world, request, actions = begun(asked=2)
    assert run(request.receive(world.send(actions[0][1]), world.url)) == []
    assert run(request.expire())[0][0] == SEND


def test_nobody_reached_asks_all_again():
    world, request, actions = begun(asked=2)
    for _ in range(2):
        assert run(request.failed(world.url)) == [] and run(request.failed(OTHER)) == []
        assert run(request.expire()) == actions
    assert run(request.receive(world.send(actions[0][1]), world.url)) == []


def test_a_lost_answer_is_asked_for_again_where_it_was_asked():
    world, request, actions = begun()
    _, actions = worlds.step(request, actions, world)
    world.send(actions[0][2])
    assert run(request.failed(world.url)) == []
    assert actions[0][0] == SEND and run(request.expire()) == actions
    _, actions = worlds.step(request, actions, world)
    assert actions == [(END, CURRENT, "")] and run(request.expire()) == []
