"""Every message that travels between n_i and n_j in C2: forged, re-signed, replayed, cut, too large, in another order,
for another network, receiver, exchange or step. Each is stopped by the rule that is named here, and the genuine one is
taken afterwards.
"""

import world as worlds
from c2_parts import Exchange, Own, R
from chain_parts import key
from fwnode.compat import run
from fwnode.roles.handing import C2_3
from fwnode.roles.identity import Counters
from fwnode.roles.newer import Newer
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode
from fwnode.wire.fields import MAX_MESSAGE, shape


def refused(machine, data, reason):
    machine.counters.by_reason.clear()
    assert run(machine.receive(data, "source")) == [], reason
    assert machine.counters.by_reason == {reason: 1}, (reason, machine.counters.by_reason)


def resigned(private, data, **changes):
    body = decode(data)
    body.update(changes)
    return run(message.sign(private, body))


def hostile(machine, data, private):
    """Try everything with the genuine `data` of the owner of `private`; then the machine still takes it."""
    body = decode(data)
    for cut in (data[:-1], data[: len(data) // 2], data + b"e", b"", data + bytes(MAX_MESSAGE)):
        refused(machine, cut, "malformed")
    for name in body:
        refused(machine, encode({key: value for key, value in body.items() if key != name}), lacking(body, name))
    refused(machine, encode(dict(body, extra=1)), "malformed")
    refused(machine, encode(dict(body, sig=bytes(63) + b"\x01")), "signature")
    refused(machine, resigned(key(77)[0], data), "signature")  # somebody else's, over the same words
    refused(machine, resigned(private, data, net=bytes(8)), "network")
    refused(machine, resigned(private, data, to=bytes(20)), "id")
    refused(machine, resigned(private, data, r=message.next_r(body["r"], 1)), "r")
    refused(machine, resigned(private, data, r=message.next_r(body["r"], -1)), "r")
    if "box" in body:
        refused(machine, resigned(private, data, box=bytes(len(body["box"]))), "box")
    for kind in ("req_verchk", "verification_log", "block"):  # its words under another name
        refused(machine, encode(dict(body, t=kind.encode())), "malformed")
    assert run(machine.receive(data, "source")) != []


def lacking(body, name):
    """What a message without this field is dropped for."""
    kind = body["t"].decode()
    if name not in shape(kind)[1]:
        return "malformed"
    return "certificate" if (name, kind) == ("cert", "res_verchk") else "signature"


def handing(own="1.0.0"):
    """n_j has answered n_i of a lower version and waits for req_metadata: (exchange, Newer of n_i, res_verchk)."""
    world = worlds.get()
    release = world.release("1.1.0")
    exchange = Exchange(running=own, own=Own("1.1.0", release.verifier, release.metainfo, release.info_hash))
    exchange.n_i.me.model = exchange.n_j.me.model = "lamp"
    exchange.n_j.consider(exchange.asked, "n_i", 0)
    answer = run(exchange.n_j.elapsed())[0][2]
    n_i, n_j = exchange.me(1), exchange.me(2)
    n_i.model = exchange.n_j.me.model = "thermometer"
    asks = Newer(n_i, own, world.root, exchange.clock, Counters(), R, C2_3, exchange.n_j.id, n_j.public, "n_j")
    return exchange, asks, answer


def comparing():
    """Enough have confirmed: (exchange, n_j's res_verchk)."""
    exchange = Exchange()
    join = exchange.join()
    run(exchange.fellows.receive(join))
    for log in exchange.confirmations(join, 2):
        run(exchange.fellows.receive(log))
        actions = run(exchange.n_j.receive(log))
    return exchange, actions[0][2]


def test_res_verchk():
    exchange, answer = comparing()
    hostile(exchange.fellows, answer, exchange.me(2).private)
    refused(exchange.fellows, answer, "replay")


def test_req_verification():
    exchange, answer = comparing()
    ask = run(exchange.fellows.receive(answer, "n_j"))[0][2]
    hostile(exchange.n_j, ask, exchange.me(1).private)
    refused(exchange.n_j, ask, "state")


def test_res_verification():
    exchange, answer = comparing()
    reply = run(exchange.n_j.receive(run(exchange.fellows.receive(answer, "n_j"))[0][2]))[0][2]
    hostile(exchange.fellows, reply, exchange.me(2).private)
    refused(exchange.fellows, reply, "state")


def test_notice_download():
    exchange = Exchange(running="1.1.0", own=Own("1.0.0"))
    exchange.n_j.consider(exchange.asked, "n_i", 0)
    answer = run(exchange.n_j.elapsed())[0][2]
    notice = run(exchange.fellows.receive(answer, "n_j"))[0][2]
    refused(exchange.n_j, resigned(exchange.me(1).private, notice, v=b"0.9.0"), "version")
    hostile(exchange.n_j, notice, exchange.me(1).private)
    refused(exchange.n_j, notice, "state")


def test_req_metadata_and_req_download_to_a_fellow():
    exchange, asks, _ = handing()
    n_i = exchange.me(1).private
    ask = run(asks.begin())[0][2]
    hostile(exchange.n_j, ask, n_i)
    again = run(exchange.n_j.receive(ask, "n_i"))[0][2]  # it may have been lost on the way: the same answer
    ask = run(asks.receive(again))[0][2]
    hostile(exchange.n_j, ask, n_i)
    refused(exchange.n_j, ask, "state")


def test_res_metadata_and_res_download_of_a_fellow():
    exchange, asks, _ = handing()
    n_j = exchange.me(2).private
    reply = run(exchange.n_j.receive(run(asks.begin())[0][2], "n_i"))[0][2]
    before = asks.state
    hostile(asks, reply, n_j)
    assert asks.state != before
    refused(asks, reply, "state")
    exchange, asks, _ = handing()
    reply = run(exchange.n_j.receive(run(asks.begin())[0][2], "n_i"))[0][2]
    last = run(exchange.n_j.receive(run(asks.receive(reply))[0][2], "n_i"))[0][2]
    hostile(asks, last, n_j)
    refused(asks, last, "state")


def test_messages_in_another_order():
    """Each message before its time is not awaited; nothing comes of it, and the exchange goes on."""
    exchange, answer = comparing()
    ask = run(exchange.fellows.receive(answer, "n_j"))[0][2]
    reply = run(exchange.n_j.receive(ask))[0][2]
    late = Exchange()
    join = late.join()
    refused(late.n_j, ask, "state")  # before enough have confirmed
    refused(late.fellows, reply, "id")  # before it was asked for
    refused(late.fellows, answer, "join")  # without a join_verification before
    run(late.fellows.receive(join))
    refused(late.fellows, answer, "confirmations")  # before enough have confirmed
