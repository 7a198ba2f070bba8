"""What a board does with a datagram of its local network before it costs anything, by the word that it counts."""

import asyncio

from c2_parts import GENUINE, R
from chain_parts import TIME, key
from ear_parts import (
    ASK,
    JOIN,
    LOG,
    NEAR,
    Engine,
    Lan,
    Many,
    Node,
    block,
    changed,
    ear,
    exchange,
    fresh,
    randbelow_of,
)
from fwnode import afterwards, blocks, broadcasts
from fwnode.broadcasts import BURST, MAX_QUEUE, MAX_SKEW_S, MAX_WAITING, QUIET
from fwnode.compat import run
from fwnode.found import Found
from fwnode.net import NetError
from fwnode.rare import Rare
from fwnode.roles.identity import Counters
from fwnode.roles.log import ANSWERED, verification_log
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode
from fwnode.wire.fields import TYPES


def test_what_is_good_waits_for_the_roles():
    door = ear()
    assert door.judge(JOIN, NEAR) == "" and len(door.queue) == 1
    assert door.judge(ASK, NEAR) == "" and list(door.waiting) == [decode(ASK)["from"]]
    assert door.judge(block(), NEAR) == "" and len(door.heads) == 1


def test_what_this_board_said_itself_is_left():
    door = ear()
    assert door.judge(JOIN, Node.ip) == "" and door.queue == []


def test_malformed():
    door = ear()
    for data in (
        b"",
        b"noise",
        b"i5e",
        b"le",
        JOIN[:-1],
        JOIN + b"e",
        changed(JOIN, ask=b"x" * 1000),  # oversized
        changed(JOIN, net=None),
        changed(JOIN, t=None),
        changed(JOIN, ts=None),
        changed(JOIN, ts=b"now"),
        changed(JOIN, r=None),
        changed(JOIN, r=-1),
        changed(JOIN, r=1 << 64),
        changed(JOIN, d=None),
        changed(JOIN, id=None),
        changed(JOIN, id=[1]),
        changed(JOIN, id=5),
        changed(JOIN, id=bytes(19)),
        changed(JOIN, cert=None),
        changed(JOIN, cert=None, pu=key(1)[1]),  # this network wants certificates
        changed(JOIN, cert=b"x"),
        changed(JOIN, cert=b"de"),
        changed(JOIN, cert=encode({"pu": 5})),
        changed(JOIN, cert=exchange.me(9).credential[1]),  # somebody else's
        changed(JOIN, **{"from": bytes(20)}),
        changed(ASK, r=5),  # its ID is not made from it
        changed(LOG, req=None),
        block(head={}),
        block(head=5),
        changed(block(), block=None),
        changed(block(), **{"from": bytes(20)}),
    ):
        door.engine = Engine(decode(LOG)["req"])
        assert door.judge(data, NEAR) == "malformed", data
    assert not (door.queue or door.heads or door.waiting)


def test_another_network():
    door = ear()
    for data in (ASK, JOIN, LOG, block()):
        assert door.judge(changed(data, net=bytes(8)), NEAR) == "network"


def test_of_another_time():
    door = ear()
    for data in (ASK, JOIN, block()):
        for ts in (TIME + 99 - MAX_SKEW_S, TIME + 101 + MAX_SKEW_S):
            assert door.judge(changed(data, ts=ts), NEAR) == "time"
    assert door.judge(changed(JOIN, ts=0), NEAR) == ""  # who knows no time says 0
    door = ear()
    door.node.time = None
    assert door.judge(changed(JOIN, ts=5), NEAR) == ""


def test_another_model():
    door = ear()
    for data in (ASK, JOIN):
        assert door.judge(changed(data, d=b"toaster"), NEAR) == "model"


def test_what_is_never_broadcast():
    door = ear()
    for kind in TYPES:
        if kind not in ("req_verchk", "join_verification", "verification_log", "block"):
            assert door.judge(changed(JOIN, t=kind.encode()), NEAR) == "type"
    assert door.judge(changed(JOIN, t=b"nonsense"), NEAR) == "type"


def test_a_request_from_outside_the_own_subnet_is_not_answered():
    """A datagram's source address may be a victim's: an answer goes nowhere but to the own subnet (addition 10)."""
    door = ear()
    for ip in ("192.0.2.1", "10.0.1.7", "255.255.255.255"):
        assert door.judge(ASK, ip) == "subnet"
    assert door.waiting == {}


def test_a_request_that_waits_or_that_others_answer_is_a_replay():
    door = ear()
    assert door.judge(ASK, NEAR) == ""
    assert door.judge(ASK, NEAR) == "replay" and door.judge(ASK, "10.0.0.9") == "replay"
    door = ear()
    door.joined.append(decode(ASK)["from"])
    assert door.judge(ASK, NEAR) == "replay"


def asks(count):
    for number in range(count):
        public = b"\x04" + number.to_bytes(64, "big")
        certificate = encode({"pu": public})
        yield changed(ASK, cert=certificate, **{"from": message.node_id(public, R)})


def test_so_many_requests_wait_and_no_more():
    door = ear()
    found = [door.judge(data, NEAR) for data in asks(MAX_WAITING + 2)]
    assert found == [""] * MAX_WAITING + ["busy"] * 2 and len(door.waiting) == MAX_WAITING


def test_a_board_that_is_on_trial_or_fell_back_answers_nobody():
    for name in ("trial", "update_only"):
        door = ear()
        setattr(door.node, name, True)
        assert door.judge(ASK, NEAR) == "busy"


def test_of_a_larger_network_only_a_sample_answers():
    door = ear()
    door.curves = Many()
    kept = randbelow_of(broadcasts, lambda limit: limit - 1)
    try:
        assert door.judge(ASK, NEAR) == "" and door.waiting == {}
    finally:
        broadcasts.randbelow = kept
    door.curves.members = 0
    assert door.judge(ASK, NEAR) == "" and len(door.waiting) == 1


def test_strangers_beyond_their_burst_wait_for_their_turn():
    door = ear()
    found = []
    for number in range(3 * BURST):
        found.append(door.judge(fresh(number) if number % 3 else block(number), NEAR))
        door.queue.clear()
        door.heads.clear()
    assert found == [""] * BURST + ["busy"] * (2 * BURST)


def test_a_block_that_comes_while_this_board_makes_its_own_is_looked_at_after_it():
    door = ear()
    door.logs = [LOG]

    class Making:
        def __init__(self, *_):
            pass

        async def run(self):
            door.logs = []
            assert door.judge(block(), NEAR) == ""

    kept, blocks.Blocks = blocks.Blocks, Making
    try:
        asyncio.run(afterwards.chain(door))
    finally:
        blocks.Blocks = kept
    assert len(door.heads) == 1 and door.chain_waits


def test_who_waits_for_m_and_l_learns_that_there_is_no_room_to_ask_for_them():
    door = ear()
    door.node.turn, door.node.rare = asyncio.Lock(), Rare(())
    found = Found()
    door.fetch = (0, R, [], found)
    door.work.set()

    async def full(which):
        raise MemoryError

    door._afterwards = full
    asyncio.run(door._turn())
    assert door.fetch is None and door.done.is_set() and door.found is found
    assert door.node.states == ["error"]


def test_a_full_queue_lets_a_datagram_come_again():
    door = ear()
    found = [door.judge(fresh(number), NEAR) for number in range(MAX_QUEUE + 1)]
    assert found == [""] * MAX_QUEUE + ["busy"]
    assert len(door.queue) == MAX_QUEUE and door.node.lan.again_count == 1


def test_a_board_that_checks_by_itself_takes_no_new_work():
    door = ear()
    door.give_way()
    assert door.judge(JOIN, NEAR) == "busy" and door.queue == []
    assert door.judge(block(), NEAR) == ""  # there may be no other for a long time: it waits
    assert len(door.heads) == 1 and not door.chain_waits
    door.resume()
    assert door.chain_waits and door.judge(JOIN, NEAR) == ""


def test_logs_cost_nothing_unless_an_exchange_waits_for_them():
    door = ear()
    assert door.judge(LOG, NEAR) == "" and door.queue == []
    assert door.judge(changed(LOG, **{"from": bytes(20)}), NEAR) == "" and door.queue == []
    door.engine = Engine(decode(LOG)["req"])
    assert door.judge(LOG, NEAR) == "" and len(door.queue) == 1
    assert door.judge(changed(LOG, req=bytes(20)), NEAR) == "" and len(door.queue) == 1
    for _ in range(BURST):
        door.queue.clear()
        found = door.judge(LOG, NEAR)
    assert found == "busy"


def test_only_its_sender_silences_a_request_and_only_from_its_own_address():
    said = run(verification_log(exchange.me(1), R, bytes(20), TIME, ANSWERED, "1.0.0", GENUINE))
    door = ear()
    door.judge(ASK, NEAR)
    (entry,) = door.waiting.values()
    assert door.judge(said, "10.0.0.9") == "" and entry[QUIET] == b""
    other = run(verification_log(exchange.me(3), R, bytes(20), TIME, ANSWERED, "1.0.0", GENUINE))
    assert door.judge(changed(other, req=decode(ASK)["from"]), NEAR) == "" and entry[QUIET] == b""
    assert door.judge(said, NEAR) == "" and entry[QUIET] == said


def test_an_open_network_takes_keys_without_certificate():
    door = ear(open=True)
    public = exchange.me(2).public
    assert door.judge(changed(JOIN, cert=None, pu=public), NEAR) == "" and door.queue[0][2] == public


class Deaf(Lan):
    """A network that gives these datagrams, and then fails."""

    def __init__(self, *datagrams):
        super().__init__()
        self.datagrams = list(datagrams)

    async def receive(self):
        if not self.datagrams:
            raise KeyboardInterrupt
        data = self.datagrams.pop(0)
        if isinstance(data, Exception):
            raise data
        return data, NEAR


def test_no_datagram_ends_the_ear_nor_does_a_network_that_fails_for_a_while():
    door = ear()
    door.node.drop = Counters(door.node.dropped).count
    door.node.lan = Deaf(changed(JOIN, id=None), NetError("multicast: no buffers"), MemoryError(), b"noise", JOIN)
    kept, broadcasts.PAUSE_S = broadcasts.PAUSE_S, 0
    try:
        asyncio.run(door.listen())
    except KeyboardInterrupt:
        pass
    finally:
        broadcasts.PAUSE_S = kept
    assert door.node.dropped == {"malformed": 2, "lan": 1, "memory": 1} and len(door.queue) == 1
