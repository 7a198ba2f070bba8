"""What a request node n_i must not believe, each by the reason that it counts (design: bad input)."""

import world as worlds
from fwnode import crypto
from fwnode.errors import FwError
from fwnode.roles import END
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from fwnode.wire.fields import MAX_MESSAGE, check_value
from support import raises, run


def asked(newest="1.0.0", **changes):
    world = worlds.get()
    world.control(newest=newest, skew=0, forget=True)
    request = world.request(**changes)
    return world, request, run(request.begin())


def refused(request, data, reason, source="somewhere"):
    """Give `data` to the request: nothing may come of it but a count for `reason`."""
    before = (request.state, request.wait_ms, len(request.answers))
    request.counters.by_reason.clear()
    assert run(request.receive(data, source)) == []
    assert request.counters.by_reason == {reason: 1}, request.counters.by_reason
    assert before == (request.state, request.wait_ms, len(request.answers))


def changed(data, **fields):
    """The message with fields replaced (None: removed), its signature no longer right."""
    parsed = decode(data)
    parsed.update(fields)
    return encode({key: value for key, value in parsed.items() if value is not None})


def test_malformed_messages_change_nothing():
    world, request, actions = asked()
    reply = world.send(actions[0][1])
    for data in (
        b"",
        b"x",
        b"le",
        b"d1:ti1ee",
        reply[:-1],
        reply + b"e",
        b"d" + b"9" * 30,
        b"x" * (MAX_MESSAGE + 1),
        changed(reply, t=b"res_nothing"),
        changed(reply, t=b"\xff"),
        changed(reply, r=-1),
        changed(reply, r=2**63),
        changed(reply, r=b"1"),
        changed(reply, box=None),
        changed(reply, box=b"short"),
        changed(reply, sig=b"1" * 63),
        changed(reply, to=b"12345"),
        changed(reply, net=b"1234567"),
        changed(reply, extra=1),
        changed(reply, d=b"sp ace"),
    ):
        refused(request, data, "malformed")


def test_messages_say_which_field_and_which_limit():
    world, request, actions = asked()
    reply = world.send(actions[0][1])
    assert "r: -1 is outside 0 to" in str(raises(WireError, message.parse, changed(reply, r=-1)))
    assert "extra does not belong" in str(raises(WireError, message.parse, changed(reply, extra=1)))
    assert "limit 16384" in str(raises(WireError, message.parse, b"x" * (MAX_MESSAGE + 1)))
    for wrong in (1, [b"1"], {b"1": 1}):
        assert "v: a string expected" in str(raises(WireError, check_value, "v", wrong))
    for wrong in (b"12", [1, 2], 1):
        assert "l: a dictionary expected" in str(raises(WireError, check_value, "l", wrong))
    assert "l: 1 bytes or entries, limits 2 to 2" in str(raises(WireError, check_value, "l", {"peers": b""}))


def test_wrong_signature_network_receiver_r_and_sender_are_dropped():
    world, request, actions = asked()
    reply = world.send(actions[0][1])
    refused(request, changed(reply, sig=bytes(63) + b"\x01"), "signature")
    refused(request, changed(reply, ts=5), "signature")
    refused(request, changed(reply, net=bytes(8)), "network")
    refused(request, changed(reply, to=bytes(20)), "id")
    refused(request, changed(reply, r=request.r), "r")
    stranger = crypto.generate_key()
    parsed = decode(reply)
    parsed["from"] = message.key_id(crypto.public_key(stranger))
    refused(request, run(message.sign(stranger, parsed)), "sender")


def test_a_box_for_somebody_else_does_not_open():
    world, request, actions = asked()
    reply = world.send(actions[0][1])
    request.me.private, kept = crypto.generate_key(), request.me.private
    refused(request, reply, "box")
    request.me.private = kept


def test_messages_out_of_order_and_replays_are_dropped():
    world, request, actions = asked()
    first = world.send(actions[0][1])
    actions = run(request.receive(first, world.url))
    refused(request, first, "state")
    second = world.send(actions[0][2])
    assert run(request.receive(second, world.url))[0][0] == END
    refused(request, second, "state")
    other = world.request(r=77)
    run(other.begin())
    refused(other, first, "id")


def test_the_same_node_answering_twice_counts_once():
    world, request, actions = asked(asked=2)
    reply = world.send(actions[0][1])
    assert run(request.receive(reply, world.url)) == []
    refused(request, world.send(actions[0][1]), "replay")


def test_release_of_another_model_or_unsigned_or_expired_ends_in_an_error():
    world, request, actions = asked(newest="1.1.0")
    reply = world.send(actions[0][1])
    run(request.receive(reply, world.url))
    whole = decode(world.metainfo["1.1.0"])

    def verdict(metainfo, **facts):
        fresh = world.request()
        for name, value in facts.items():
            setattr(fresh.clock, name, value)
        try:
            run(fresh._check_release(metainfo, "1.1.0"))
        except FwError as error:
            return str(error)
        return ""

    assert verdict(world.metainfo["1.1.0"]) == ""
    assert "expired" in verdict(world.metainfo["1.1.0"], time=2**33)
    assert "0 of 1 vendor signatures" in verdict(encode(dict(whole, **{"release-sigs": []})))
    forged = dict(whole, release=dict(whole["release"], epoch=9))
    assert "0 of 1 vendor signatures" in verdict(encode(forged))
    forged = dict(whole, release=dict(whole["release"], model=b"toaster"))
    assert "for model toaster" in verdict(encode(forged))
    assert "announced, 1.0.0 in M" in verdict(world.metainfo["1.0.0"])
    assert "m: empty" in verdict(b"")


def test_a_url_outside_the_signed_release_is_ignored():
    world = worlds.get()
    whole = decode(world.metainfo["1.1.0"])
    whole["announce"] = b"http://evil.example/announce"
    whole["url-list"] = [b"http://evil.example/"]
    from fwnode.trust.release import Release

    release = Release(encode(whole))
    run(release.check(world.root, None))
    assert release.trackers == ["http://127.0.0.1:6969/announce"] and release.web_seeds == []


def test_no_answer_is_an_error_after_three_tries_and_never_no_update():
    world, request, actions = asked()
    for _ in range(2):
        assert run(request.expire()) == actions
    ((kind, outcome, reason),) = run(request.expire())
    assert kind == END and outcome == "failed" and "no answer" in reason


def test_an_answerer_that_echoes_the_verifier_does_not_hide_tampering():
    world = worlds.get()
    genuine = world.release("1.0.0").verifier
    tampered = b"\x07" * 32
    _, request, actions = asked(verifier=tampered, known=genuine)
    worlds.step(request, actions, world)
    request.expected = None
    actions = run(request._compare({"h": tampered, "r": 0}))
    assert message.parse(actions[0][2])["t"] == b"req_metadata"


def test_an_answer_can_set_the_clock_to_the_end_of_the_trust_root_and_no_further():
    """A stolen verification node cannot make a later root's releases look expired."""
    world, request, actions = asked(newest="1.1.0")
    world.control(skew=60 * 86400)
    _, actions = worlds.step(request, actions, world)
    world.control(skew=0)
    assert actions[0][:2] == (END, "failed") and "expired" in actions[0][2]
    assert request.clock.now() == world.root.expires + 1
