"""What the roles of C2 do with a request whose quiet while is over, with an answer, with members, and without room."""

import asyncio

from c2_parts import Exchange, Own, R
from ear_parts import (
    ASK,
    JOIN,
    LOG,
    NEAR,
    Many,
    changed,
    ear,
    engine_of,
    exchange,
)
from fwnode import asking, broadcasts, neighbours
from fwnode.compat import ticks_add, ticks_ms
from fwnode.gate import ADDRESSES, CONNECT_MS
from fwnode.wire.bencode import decode
from support import raises


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


def test_news_that_came_before_the_verifiers_were_compared_is_taken_first():
    exchange = Exchange()
    engine = engine_of(ear())
    engine.me = exchange.me(1)
    ask = asking.Asking(engine, (R, exchange.asked))
    ask.until = ticks_add(ticks_ms(), 60000)
    ask.ending = ("end", "current", "")
    done = []

    async def newer():
        done.append("C2-3")
        ask.fellows.newer.clear()

    async def compared(outcome, why):
        done.append("C2-2: " + outcome)
        ask.ending = None

    ask._newer, ask._compared = newer, compared
    ask.fellows.newer.append("a fellow")
    assert asyncio.run(ask.turn()) and asyncio.run(ask.turn()) and not asyncio.run(ask.turn())
    assert done == ["C2-3", "C2-2: current"]


def test_boards_that_ask_at_the_same_time_answer_each_other_until_they_are_engaged():
    exchange = Exchange()
    door = ear()
    engine = engine_of(door)
    engine.me = exchange.me(1)
    engine.asking = ask = asking.Asking(engine, (R, exchange.asked))
    ask.until = ticks_add(ticks_ms(), 60000)
    assert engine._free()
    for engage in (
        lambda: ask.fellows.joins.update({b"n_j": None}),
        lambda: ask.fellows.newer.append("a fellow"),
        lambda: setattr(ask.fellows, "older", 1),
    ):
        engage()
        assert not engine._free()
        ask.fellows.joins.clear()
        ask.fellows.newer.clear()
        ask.fellows.older = 0
    ask.over = True
    assert engine._free()  # nobody waits for M
    ask.fellows.handings.append(Handing())
    assert not engine._free()
    ask.until = ticks_ms()
    assert engine._free()


class Handing:
    """M is promised to a fellow, and not fetched yet."""

    done = False


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
    kept = broadcasts.ticks_ms, broadcasts.randbelow
    try:
        broadcasts.ticks_ms = lambda: 1000
        for most in (0, 1):
            broadcasts.randbelow = lambda limit, most=most: most * (limit - 1) if limit > broadcasts.SAMPLE else 0
            door = ear(quiet_s=2.0)
            door.curves = Many()
            door.curves.members = members
            assert door.judge(ask, NEAR) == ""
            (entry,) = door.waiting.values()
            found.append(entry[broadcasts.DUE] - 1000)
    finally:
        broadcasts.ticks_ms, broadcasts.randbelow = kept
    return found


def test_the_more_members_there_are_the_less_they_confirm_at_once():
    assert spread_of(0, ASK) == [3000, 5000] and spread_of(12, ASK) == [3000, 11000]


def test_news_is_told_before_anything_is_confirmed():
    older = changed(ASK, v=b"0.9.0")
    for members in (0, 12):
        assert spread_of(members, older) == [1500, 3500]


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


def test_the_roles_end_when_no_message_is_at_hand_any_more():
    """Whoever looks at one holds the roles' code; what comes next would find no room beside it."""
    door = ear()
    engine = engine_of(door)
    door.fetch = "M and L wait"
    kept, neighbours.TICK_S = neighbours.TICK_S, 0

    async def main():
        goes_on = asyncio.Event()

        async def opened():
            pass

        async def slow(body, ip):
            await goes_on.wait()
            return b"answered"

        engine._open, engine._message = opened, slow
        message = asyncio.create_task(engine.on_message(b"", NEAR))
        running = asyncio.create_task(engine.run())
        for _ in range(9):
            await asyncio.sleep(0)
        assert engine.handling == 1 and not running.done()
        goes_on.set()
        assert await message == b"answered"
        await running

    try:
        asyncio.run(main())
    finally:
        neighbours.TICK_S = kept


def test_an_answer_to_what_is_over_has_no_turn():
    door = ear()
    engine = engine_of(door)
    door.node.boot.version = "1.0.0"
    ask = asking.Asking(engine, (R, exchange.asked))
    ask.over = True
    public = exchange.me(2).public
    door.curves.know(public, NEAR)
    assert asyncio.run(ask.turn_of(public, NEAR)) is False
    assert door.curves.take(public, NEAR)  # it is still to be had


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
