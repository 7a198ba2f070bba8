"""A heap without room: what must go on all the same, so that a board finds room again by itself."""

import asyncio
import gc
import sys

from fwnode import broadcasts
from fwnode.compat import MICROPYTHON, forget, tidy
from fwnode.rare import Rare
from fwnode.swarm.seed import Seeder
from test_broadcasts import ear

RARE = ("fwnode.chain.proof", "fwnode.chain.inclusion")


def fill():
    """All of the heap but a few crumbs, in small pieces."""
    held = None
    try:
        while True:
            held = (held, bytearray(24))
    except MemoryError:
        for _ in range(8):
            held = held[0]
        return held


def test_modules_are_let_go_when_the_heap_is_full():
    if not MICROPYTHON:  # where nothing is let go
        return
    tidy(2048)
    with Rare(RARE):
        __import__(RARE[0])
        assert RARE[0] in sys.modules and RARE[1] in sys.modules
        held = fill()
    assert held is not None
    held = None
    gc.collect()
    assert RARE[0] not in sys.modules and RARE[1] not in sys.modules
    assert not hasattr(sys.modules["fwnode.chain"], "proof")
    assert "fwnode.compat" in sys.modules
    forget(*RARE)  # what is not there is no error


class Twice:
    """A step that finds no room at first; the second time it ends the loop around it."""

    def __init__(self):
        self.count = 0

    def __call__(self, *_):
        self.count += 1
        if self.count == 1:
            raise MemoryError
        raise KeyboardInterrupt


def ends(coroutine):
    try:
        asyncio.run(coroutine)
    except KeyboardInterrupt:
        return True
    return False


def test_a_turn_of_the_roles_that_finds_no_room_is_not_the_last_one():
    door = ear()
    door.node.drop = lambda reason: door.node.dropped.update({reason: door.node.dropped.get(reason, 0) + 1})
    step = Twice()

    async def turn():
        step()

    door._turn = turn
    kept, broadcasts.PAUSE_S = broadcasts.PAUSE_S, 0
    try:
        assert ends(door.serve())
    finally:
        broadcasts.PAUSE_S = kept
    assert step.count == 2 and door.node.dropped == {"memory": 1} and door.work.is_set()


class Ticking(Seeder):
    """A seeder that only ticks."""

    tick_ms = 1

    def __init__(self):
        self.tick = Twice()


def test_a_tick_of_the_seeder_that_finds_no_room_is_not_the_last_one():
    seeder = Ticking()
    assert ends(seeder._ticks()) and seeder.tick.count == 2
