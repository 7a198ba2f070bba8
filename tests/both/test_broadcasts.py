"""What a board does with a datagram of its local network before it costs anything, by the word that it counts."""

import asyncio

from c2_parts import GENUINE, Exchange, Own, R
from chain_parts import MODEL, TIME, key
from fwnode import asking, broadcasts, neighbours
from fwnode.broadcasts import BURST, MAX_QUEUE, MAX_SKEW_S, MAX_WAITING, QUIET, Broadcasts
from fwnode.chain.header import Header
from fwnode.compat import run, ticks_diff, ticks_ms
from fwnode.config import Config
from fwnode.gate import ADDRESSES, CONNECT_MS
from fwnode.neighbours import Neighbours
from fwnode.net import NetError
from fwnode.roles.identity import Counters
from fwnode.roles.log import ANSWERED, verification_log
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode
from fwnode.wire.fields import TYPES
from support import raises

NEAR = "10.0.0.7"
exchange = Exchange()  # of which everybody has heard
ASK = exchange.asked
JOIN = exchange.join()
LOG = exchange.confirmations(JOIN, 1)[0]


class Lan:
    """Counts what may come again."""

    def __init__(self):
        self.again_count = 0

    def again(self):
        self.again_count += 1


class Node:
    """As much of a node as its ear needs."""

    ip, mask, local = "10.0.0.1", "255.255.255.0", None

    def __init__(self, **config):
        self.config = Config(dict({"model": MODEL, "platform": "virtual"}, **config))
        self.boot = self
        self.version = "1.0.0"
        self.keys = {"genesis": exchange.network.net + bytes(24)}
        self.update_only = self.trial = None
        self.ledger = self
        self.takes_logs = False
        self.time = TIME + 100
        self.clock = self
        self.lan = Lan()
        self.hooks = self
        self.states = []
        self.dropped = {}

    def told(self):
        return self.time

    now = told

    def state(self, kind, **facts):
        self.states.append(kind)


class Engine:
    """Loaded roles that wait for the logs of one request."""

    def __init__(self, request):
        self.request = request

    def wants(self, request):
        return request == self.request


def ear(**config):
    return Broadcasts(Node(**config))


def changed(data, **changes):
    """A message with other fields, its signature no longer right: nobody looks at it here."""
    body = decode(data)
    body.update(changes)
    return encode({name: value for name, value in body.items() if value is not None})


def block(number=5, head=None):
    """The announcement of a block by board `number`, never mined."""
    _, public, certificate = exchange.network.board(number)
    if head is None:
        header = Header(600, bytes(32), bytes(32), TIME, 16)
        head = {"t": b"head", "net": exchange.network.net, "head": header.encode(), "c": 0, "root": 1}
        head["cert"] = certificate
        head["sig"] = bytes(64)
    told = message.new("block", exchange.network.net, message.node_id(public, R), b"", R)
    told["block"] = encode(head)
    told["port"], told["ts"], told["sig"] = 4000, TIME + 100, bytes(64)
    return encode(told)


def fresh(number):
    """A join that claims a key of its own."""
    public = b"\x04" + number.to_bytes(64, "big")
    certificate = {"d": MODEL, "pu": public, "exp": TIME * 2, "by": bytes(20), "sig": bytes(64)}
    return changed(JOIN, cert=encode(certificate), **{"from": message.node_id(public, R)})


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


class Many:
    """A gate that knows many members."""

    members = 1000


def randbelow_of(module, other):
    kept, module.randbelow = module.randbelow, other
    return kept


def test_strangers_beyond_their_burst_wait_for_their_turn():
    door = ear()
    found = []
    for number in range(3 * BURST):
        found.append(door.judge(fresh(number) if number % 3 else block(number), NEAR))
        door.queue.clear()
        door.heads.clear()
    assert found == [""] * BURST + ["busy"] * (2 * BURST)


def test_a_full_queue_lets_a_datagram_come_again():
    door = ear()
    found = [door.judge(fresh(number), NEAR) for number in range(MAX_QUEUE + 1)]
    assert found == [""] * MAX_QUEUE + ["busy"]
    assert len(door.queue) == MAX_QUEUE and door.node.lan.again_count == 1


def test_a_board_that_checks_by_itself_takes_no_new_work():
    door = ear()
    door.give_way()
    assert [door.judge(data, NEAR) for data in (JOIN, block())] == ["busy", "busy"]
    door.resume()
    assert door.judge(JOIN, NEAR) == ""


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


# what a request costs after its quiet while, and an answer


def engine_of(door):
    engine = Neighbours(door.node, door)
    engine.me = exchange.me(2)
    engine.genesis = exchange.genesis
    engine.authority = exchange.authority()
    engine.own = Own()
    engine.counters = Counters(door.node.dropped)
    return engine


def test_an_address_that_a_datagram_named_gets_one_connection_in_ten_seconds():
    door = ear()
    engine = engine_of(door)
    door.connected[NEAR] = ticks_ms()
    asyncio.run(engine._respond([NEAR, ASK, 0, b"", False]))
    assert door.node.dropped == {"busy": 1} and engine.response is None and door.node.states == []


def test_so_many_addresses_are_remembered_and_no_more_connected_to():
    door = ear()
    engine = engine_of(door)
    for number in range(ADDRESSES):
        door.connected["10.0.0.%d" % (100 + number)] = ticks_ms()
    asyncio.run(engine._respond([NEAR, ASK, 0, b"", False]))
    assert door.node.dropped == {"busy": 1} and CONNECT_MS == 10000


def test_an_answer_goes_to_the_datagrams_address_at_the_signed_port_or_nowhere():
    door = ear()
    engine = engine_of(door)
    low = changed(ASK, port=80)
    asyncio.run(engine._respond([NEAR, low, 0, b"", False]))
    assert door.node.dropped == {"malformed": 1} and engine.response is None
    sent = []

    async def post(source, data):
        sent.append(source)
        return b""

    engine.post = post
    engine.own = Own("9.0.0")  # C2-3: the answer goes out at once
    asyncio.run(engine._respond([NEAR, ASK, 0, b"", False]))
    assert sent == [(NEAR, decode(ASK)["port"])]


def test_a_quick_fellows_answer_waits_for_the_broadcasts_before_it_and_for_its_turn():
    exchange = Exchange()
    door = ear()
    engine = engine_of(door)
    engine.me = exchange.me(1)
    door.node.boot.version = "1.0.0"
    ask = asking.Asking(engine, (R, exchange.asked))
    public = exchange.me(2).public
    kept, asking.TURN_S = asking.TURN_S, 0

    async def main():
        door.queue.append("a confirmation")
        door.curves.know(public, NEAR)
        assert door.curves.take(public, NEAR)  # for its join, a moment ago
        waiting = asyncio.create_task(ask.turn_of(public, NEAR))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        door.queue.clear()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        door.curves._known.clear()  # as if a second had gone by
        assert await waiting
        door.queue.append("what never ends")
        assert not await ask.turn_of(public, NEAR)

    try:
        asyncio.run(main())
    finally:
        asking.TURN_S = kept


# members' turns, and what finds no room


def test_a_members_proof_of_work_uses_up_no_strangers_turn():
    door = ear()
    engine = engine_of(door)
    public, other = exchange.me(2).public, exchange.me(3).public
    assert engine._may_work(public, NEAR)
    assert not engine._may_work(public, NEAR)  # its own turn, once in five seconds
    assert engine._may_work(other, NEAR)
    stranger = b"\x04" + bytes(64)
    assert door.works.take(stranger, NEAR) and not door.works.take(stranger, NEAR)


class Open:
    """The genesis of an open network."""

    certified = False


def test_in_an_open_network_there_is_one_proof_of_work_a_minute_for_all():
    door = ear()
    engine = engine_of(door)
    engine.genesis = Open()
    assert engine._may_work(exchange.me(2).public, NEAR)
    assert not engine._may_work(exchange.me(3).public, NEAR)


def spread_of(members, ask):
    """The least and the most milliseconds that `ask` waits for with so many known members."""
    found = []
    for most in (False, True):
        door = ear(quiet_s=2.0)
        door.curves = Many()
        door.curves.members = members
        kept = randbelow_of(broadcasts, lambda limit, most=most: limit - 1 if most and limit > broadcasts.SAMPLE else 0)
        began = ticks_ms()
        try:
            assert door.judge(ask, NEAR) == ""
        finally:
            broadcasts.randbelow = kept
        (entry,) = door.waiting.values()
        found.append(ticks_diff(entry[broadcasts.DUE], began))
    return found


def test_the_more_members_there_are_the_less_they_confirm_at_once():
    few, many = spread_of(0, ASK), spread_of(12, ASK)
    assert 2500 <= few[0] < 2700 and 4500 <= few[1] < 4700
    assert 1000 <= many[0] < 1200 and 9000 <= many[1] < 9200


def test_news_is_told_before_anything_is_confirmed():
    older = changed(ASK, v=b"0.9.0")
    for members in (0, 12):
        least, most = spread_of(members, older)
        assert 1500 <= least < 1700 and 3500 <= most < 3700


def test_a_datagram_that_finds_no_room_is_looked_at_once_more():
    door = ear()
    engine = engine_of(door)

    async def no_room(*datagram):
        raise MemoryError

    engine._joined = engine._logged = no_room
    for join, data in ((True, JOIN), (False, LOG)):
        found = (join, b"", b"", data, NEAR)
        asyncio.run(engine._datagram(*found))
        assert door.queue == [found]
        asyncio.run(engine._datagram(*door.queue.pop()))
        assert door.queue == []
    assert door.node.dropped == {"memory": 2}


def test_a_message_that_finds_no_room_is_tried_again_and_then_left_without_an_answer():
    door = ear()
    engine = engine_of(door)
    kept, neighbours.TICK_S = neighbours.TICK_S, 0
    tries = []

    async def room_at_last(body, ip):
        tries.append(body)
        if len(tries) < neighbours.TRIES:
            raise MemoryError
        return b"answer"

    async def no_room(body, ip):
        raise MemoryError

    try:
        engine._message = room_at_last
        assert asyncio.run(engine.on_message(JOIN, NEAR)) == b"answer"
        engine._message = no_room
        assert asyncio.run(engine.on_message(JOIN, NEAR)) == b""
    finally:
        neighbours.TICK_S = kept
    assert door.node.dropped == {"memory": 2 * neighbours.TRIES - 1}


def test_roles_that_find_no_room_again_and_again_are_given_up():
    door = ear()
    engine = engine_of(door)
    kept, neighbours.TICK_S = neighbours.TICK_S, 0

    async def no_room():
        raise MemoryError

    engine._turn = no_room
    try:
        for _ in range(neighbours.MAX_SHORT):
            assert asyncio.run(engine._turned())
        raises(MemoryError, asyncio.run, engine._turned())
    finally:
        neighbours.TICK_S = kept
    assert door.node.dropped == {"memory": neighbours.MAX_SHORT}
