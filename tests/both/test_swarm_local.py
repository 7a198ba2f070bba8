"""When local discovery announces (BEP 14), without a socket: once for each newcomer, and not when enough others do."""

from fwnode.compat import ticks_add, ticks_diff
from fwnode.swarm import SwarmError, localdisc
from support import raises
from swarm_parts import FakeRelease

NOW = 1000000


class Hub:
    release = FakeRelease(32768, 32768, bytes(20), bytes(20))
    local_ip = "127.0.0.1"
    port = 5000


class Lan:
    def __init__(self, *where):
        self.where = where


def made():
    localdisc.Lan = Lan
    discovery = localdisc.LocalDiscovery(Hub(), "239.192.152.143", 6771)
    discovery.last = NOW
    discovery.answered = ticks_add(NOW, -localdisc.ANSWER_MS)
    discovery.due = ticks_add(NOW, localdisc.INTERVAL_MS)
    return discovery


def test_a_newcomer_is_answered_soon_and_once():
    discovery = made()
    late = NOW + 60000
    discovery._answer(b"cookie", late)
    assert 0 <= ticks_diff(discovery.due, late) <= 1000
    discovery.last, discovery.due = late, ticks_add(late, localdisc.INTERVAL_MS)
    discovery._answer(b"cookie", late + 30000)
    assert discovery.due == ticks_add(late, localdisc.INTERVAL_MS), "two that hear each other do not go on for ever"


def test_answers_keep_their_distance():
    discovery = made()
    discovery.answered = NOW
    discovery._answer(b"one", NOW + 100)
    assert discovery.due == discovery.answered == NOW + localdisc.ANSWER_MS


def test_enough_others_answer():
    discovery = made()
    discovery._answer(b"newcomer", NOW + 60000)
    for number in range(localdisc.ENOUGH):
        assert ticks_diff(discovery.due, NOW + 61000) <= 0
        discovery._answer(bytes([number]), NOW + 60010)
    assert discovery.due == ticks_add(NOW, localdisc.INTERVAL_MS)


def test_what_is_known_is_bounded():
    discovery = made()
    for number in range(100):
        discovery._answer(number.to_bytes(2, "big"), NOW)
    assert len(discovery.known) == localdisc.MAX_KNOWN


def test_never_for_a_private_release():
    localdisc.Lan = Lan
    hub = Hub()
    hub.release = FakeRelease(32768, 32768, bytes(20), bytes(20))
    hub.release.private = True
    raises(SwarmError, localdisc.LocalDiscovery, hub)
