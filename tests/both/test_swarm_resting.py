"""A release that is seeded while nobody is connected: what is loaded, and let go again, and what finds no room."""

import asyncio
import sys

from fwnode.compat import ticks_diff, ticks_ms
from fwnode.swarm import Buffers, seed
from fwnode.swarm.announcer import FIRST_RETRY_MS, Announcer
from fwnode.swarm.resting import Resting

URL = "http://10.0.0.1:80/announce"


class Release:
    """Of which no byte is read."""

    info_hash = b"i" * 20
    trackers = [URL]
    piece_count = 2


class Seeder:
    """Notes what becomes of it; a connection ends when `end` is set."""

    made: list = []

    def __init__(self, release, storage, peer_id, local_ip, **options):
        self.peers = []
        self.options = options
        self.started = self.closed = False
        self.end = asyncio.Event()
        self.made.append(self)

    def start(self):
        self.started = True

    async def close(self):
        self.closed = True

    async def serve(self, reader, writer, ip, theirs):
        self.peers.append(ip)
        await self.end.wait()
        self.peers.remove(ip)
        return "over"


def resting():
    events = []
    made = Resting(Release, None, b"p" * 20, None, 4000, 7, lambda kind, fields: events.append(kind), Buffers(0))
    made.announcer.urls = []
    return made


def test_one_seeder_for_all_who_are_connected_and_none_when_nobody_is():
    kept, seed.Seeder = seed.Seeder, Seeder
    Seeder.made.clear()

    async def main():
        hub = resting()
        hub.max_peers, hub.slots = 9, 5
        assert hub.peers == [] and hub.seeder is None
        first = asyncio.create_task(hub.serve(None, None, "10.0.0.2", b"a"))
        second = asyncio.create_task(hub.serve(None, None, "10.0.0.3", b"b"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (made,) = Seeder.made
        assert hub.peers == ["10.0.0.2", "10.0.0.3"]
        assert made.started and (made.max_peers, made.slots) == (9, 5) and made.stats is hub.stats
        assert made.options["up_rate"] == 7 and made.options["buffers"] is hub.buffers
        made.end.set()
        assert await first == "over" and await second == "over"
        assert made.closed and hub.seeder is None and hub.peers == []
        later = asyncio.create_task(hub.serve(None, None, "10.0.0.2", b"a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(Seeder.made) == 2 and hub.seeder is Seeder.made[1]
        await hub.close()
        assert Seeder.made[1].closed
        Seeder.made[1].end.set()
        await later

    try:
        asyncio.run(main())
    finally:
        seed.Seeder = kept


def test_a_connection_that_finds_no_room_leaves_the_next_one_its_turn():
    def full(*args, **options):
        raise MemoryError

    kept, seed.Seeder = seed.Seeder, full

    async def main():
        hub = resting()
        try:
            await hub.serve(None, None, "10.0.0.2", b"a")
        except MemoryError:
            pass
        assert hub.users == 0 and hub.seeder is None
        seed.Seeder = Seeder
        served = asyncio.create_task(hub.serve(None, None, "10.0.0.2", b"a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        hub.seeder.end.set()
        assert await served == "over"

    try:
        asyncio.run(main())
    finally:
        seed.Seeder = kept


def test_an_announce_that_finds_no_room_is_made_later():
    async def full(*args):
        raise MemoryError

    def patch(name):
        """MicroPython loads the module anew each time."""
        __import__("fwnode.swarm.tracker")
        module = sys.modules["fwnode.swarm.tracker"]
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, full)

    kept = []

    async def main():
        announcer = Announcer(resting(), [URL])
        patch("to_first")
        before = ticks_ms()
        announcer.tick(ticks_ms())
        await announcer.task
        assert announcer.tried and announcer.task is None and announcer.why == "no room"
        assert ticks_diff(announcer.due, before) >= FIRST_RETRY_MS
        announcer.event = ""
        patch("goodbye")
        await announcer.stop()

    try:
        asyncio.run(main())
    finally:
        for module, name, function in kept:
            setattr(module, name, function)
