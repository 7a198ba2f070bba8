"""Who is served, and how fast: choking, connections and the upload limit, without a socket."""

import asyncio

from fwnode.compat import ticks_diff, ticks_ms
from fwnode.swarm import bitfield
from fwnode.swarm.download import Download
from fwnode.swarm.seed import Seeder
from swarm_parts import FakeRelease

OWN = b"-FW0001-mmmmmmmmmmmm"


class Peer:
    """A connection as the hub sees it."""

    def __init__(self, name, interested=True):
        self.theirs = name
        self.ip = "10.0.0.1"
        self.interested = interested
        self.choking = True
        self.dialled = False
        self.queue = []
        self.down = self.up = self.turn_down = self.turn_up = 0
        self.sent = ticks_ms()
        self.killed = ""
        self.bits = bytearray(1)

    def choke(self, yes):
        self.choking = yes

    def kill(self, why):
        self.killed = why


def hub_of(count, **options):
    release = FakeRelease(4 * 32768, 32768, bytes(80), bytes(20))
    hub = Seeder(release, None, OWN, **options)
    hub.peers = [Peer(bytes([65 + number]) * 20) for number in range(count)]
    return hub


def served(hub):
    return [hub.peers.index(peer) for peer in hub.peers if not peer.choking]


def test_slots_are_filled_at_once():
    hub = hub_of(7)
    hub.peers[0].interested = False
    hub.rechoke(False)
    assert served(hub) == [1, 2, 3, 4]
    hub.peers[2].interested = False
    hub.rechoke(False)
    assert served(hub) == [1, 3, 4, 5]


def test_who_gives_most_then_who_got_least():
    hub = hub_of(6)
    hub.slots = 3
    hub.peers[4].down = 50000
    for number, peer in enumerate(hub.peers):
        peer.up = 1000 * (6 - number)
    hub.rechoke(True)
    assert len(served(hub)) == 3
    assert {4, 5} <= set(served(hub)), "who gave, and who got least"


def test_everybody_is_served_in_time():
    """Among nine who are all alike the slot that is not given by lot goes round: nobody starves."""
    hub = hub_of(9)
    hub.slots = 2
    turns = [0] * 9
    for _ in range(18):
        hub.rechoke(True)
        for number in served(hub):
            turns[number] += 1
            hub.peers[number].up += 16384
    assert min(turns) >= 1


def test_unused_slot_is_passed_on():
    hub = hub_of(5)
    hub.rechoke(False)
    idle, waiting = hub.peers[0], hub.peers[4]
    busy = hub.peers[1]
    busy.queue = [(0, 0, 16384)]
    now = ticks_ms()
    idle.sent -= 5000
    busy.sent -= 5000
    hub.idle_ms = 1 << 28
    for peer in hub.peers:
        peer.idle = lambda now: 0
    hub.next_rechoke = now + 10000
    hub.tick(now)
    assert idle.choking and not waiting.choking and not busy.choking


def test_welcome():
    hub = hub_of(0)
    low, high = b"-AA" + bytes(17), b"-ZZ" + bytes(17)
    assert not hub.welcome("10.0.0.1", OWN, False), "ourselves"
    for number in range(hub.max_peers):
        assert hub.welcome("10.0.0.{}".format(number), bytes([number]) * 20, False)
        hub.peers.append(Peer(bytes([number]) * 20))
        hub.peers[-1].ip = "10.0.0.{}".format(number)
    assert not hub.welcome("10.0.0.9", high, False), "no room"
    hub.max_peers = 9
    hub.peers[0].ip = "10.0.0.1"
    assert not hub.welcome("10.0.0.1", high, False), "two connections of one address are enough"
    assert hub.welcome("10.0.0.1", high, True), "connections of our own have room of their own"
    hub.peers = [Peer(high)]
    assert not hub.welcome("10.0.0.1", high, False), "the same twice"
    assert not hub.welcome("10.0.0.1", high, True), "the greater ID's own connection stays"
    hub.peers = [Peer(low)]
    assert hub.welcome("10.0.0.1", low, True) and hub.peers[0].killed == "connected twice"


def test_upload_limit():
    """Ten sectors at 100,000 bytes a second take a third of a second at least, however many ask."""
    hub = hub_of(0, up_rate=100000)

    async def turns(count):
        for _ in range(count):
            await hub.turn(4096)

    async def both():
        await asyncio.gather(turns(5), turns(6))

    start = ticks_ms()
    asyncio.run(both())
    assert ticks_diff(ticks_ms(), start) >= 350


def test_uploads_leave_others_their_turn():
    """Without a limit, too: between any two sectors whatever else is ready runs."""
    hub = hub_of(0)
    seen = []

    async def upload():
        for number in range(20):
            await hub.turn(4096)
            seen.append(number)

    async def other():
        while 19 not in seen:
            seen.append(-1)
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(upload(), other())

    asyncio.run(both())
    assert seen[1::2] == list(range(20)), "never two sectors in a row"


def test_bytes_are_counted_by_address():
    hub = hub_of(0)
    for number in range(40):
        hub.count("10.0.0.{}".format(number), 1, 2)
    hub.count("10.0.0.3", 10, 0)
    assert len(hub.stats) == 33 and hub.stats["*"] == [8, 16] and hub.stats["10.0.0.3"] == [11, 2]


def test_complete_peer_of_a_seeder_is_let_go():
    hub = hub_of(1)
    peer = hub.peers[0]
    peer.bits = bitfield.full(4)
    hub.offers(peer, -1)
    assert peer.killed == "both complete"


class Storage:
    """Takes everything, holds nothing that is right."""

    def readinto(self, offset, buffer):
        buffer[:] = bytes(len(buffer))

    def write(self, offset, data):
        pass


def test_blocks_that_crossed_a_choke_are_taken_when_missing():
    release = FakeRelease(4 * 32768, 32768, bytes(80), bytes(20))
    hub = Download(release, Storage(), [], OWN, trackers=[], web_seeds=[])
    for _ in hub.pieces.resume():
        pass
    peer = Peer(b"A" * 20)
    peer.slot = None
    peer.choked = True
    assert hub._adopt(peer, 2, 0)
    active = hub.pieces.active[2]
    assert active.owner is None, "who is choked cannot ask for the rest"
    assert peer.slot is not None and len(hub.buffers) == hub.sources - 1
    peer.choked = False
    assert hub._adopt(peer, 1, 16384) and hub.pieces.active[1].owner is peer
    active.done[0] = 4
    assert not hub._adopt(peer, 2, 0), "that block is here"
    bitfield.put(hub.have, 3)
    hub.pieces.todo.remove(3)
    assert not hub._adopt(peer, 3, 0), "that piece is here"
    hub.pieces.alone.add(0)
    assert not hub._adopt(peer, 0, 0), "that piece must come from one source in order"
    peer.slot = None
    hub.buffers = []
    assert not hub._adopt(peer, 1, 0), "no buffer is free"


def test_who_lied_is_not_served_either():
    release = FakeRelease(4 * 32768, 32768, bytes(80), bytes(20))
    hub = Download(release, Storage(), [], OWN, trackers=[], web_seeds=[])
    assert not hub.welcome("10.0.0.1", b"A" * 20, False), "nobody is, before the storage is hashed"
    hub.ready = True
    assert hub.welcome("10.0.0.1", b"A" * 20, False)
    hub.strike("10.0.0.1", 1)
    assert hub.welcome("10.0.0.1", b"A" * 20, False), "one mistake is none"
    hub.strike("10.0.0.1", 3)
    assert hub.banned("10.0.0.1") and not hub.welcome("10.0.0.1", b"A" * 20, False)
    assert hub.welcome("10.0.0.2", b"A" * 20, False)
    for number in range(200):
        hub.strike("10.1.0.{}".format(number), 3)
    assert len(hub.strikes) == 64, "what is remembered of liars is bounded"


def test_interest_is_in_what_is_missing():
    release = FakeRelease(4 * 32768, 32768, bytes(80), bytes(20))
    hub = Download(release, Storage(), [], OWN, trackers=[], web_seeds=[])
    for _ in hub.pieces.resume():
        pass
    hub.missing = 3
    bitfield.put(hub.have, 1)
    hub.pieces.todo.remove(1)
    peer = Peer(b"A" * 20)
    peer.wanting = False
    peer.choked = True
    peer.want = lambda yes: setattr(peer, "wanting", yes)
    peer.ended = ""
    hub.offers(peer, 1)
    assert not peer.wanting, "that piece is here"
    hub.offers(peer, 2)
    assert peer.wanting
