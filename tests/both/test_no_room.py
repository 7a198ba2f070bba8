"""A heap without room: what must go on all the same, so that a board finds room again by itself."""

import asyncio
import gc
import sys

from ear_parts import ear
from fwnode import broadcasts, updating
from fwnode.compat import MICROPYTHON, forget, tidy
from fwnode.found import Found
from fwnode.node import Node
from fwnode.rare import Rare
from fwnode.swarm.seed import Seeder

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


class Half(Node):
    """As much of a node as follows what an exchange found; the release before has an outcome to log."""

    ip, outcome, version = "10.0.0.1", ("updated", "1.1.0", ""), "1.1.0"

    def __init__(self):
        self.turn = asyncio.Lock()
        self.update_code = self.following = Rare(())
        self.boot = self.hooks = self
        self.states = []

    def state(self, kind, **facts):
        self.states.append(kind)


def test_the_log_after_an_update_is_not_loaded_beside_the_roles():
    node = Half()
    found = Found()
    found.answered, found.outcome = True, "current"

    async def log_outcome(node):
        assert node.turn.locked()
        node.state("logged")

    async def main():
        await node.turn.acquire()
        follows = asyncio.create_task(node._follow(found))
        for _ in range(5):
            await asyncio.sleep(0)
        assert node.states == []
        node.turn.release()
        assert await follows and node.states == ["logged", "current"]

    kept, updating.log_outcome = updating.log_outcome, log_outcome
    try:
        asyncio.run(main())
    finally:
        updating.log_outcome = kept


def test_a_trials_verdict_is_written_once_room_was_made():
    """Without it the next boot would take a refusal for a crash, and try the release again."""
    said = []

    class Trial:
        version = "1.1.0"

        def fail(self, reason):
            said.append(reason)
            if len(said) == 1:
                raise MemoryError

        def state(self, kind, **facts):
            said.append(kind)

        def reset(self):
            said.append("reset")

    node = Trial()
    node.boot = node.hooks = node
    updating.give_up(node, "check")
    assert said == ["check", "check", "giving-up", "reset"]
