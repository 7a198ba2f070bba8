"""The tracker's memory: peer sets against a plain model, caps, expiry, and the state file over a restart."""

from __future__ import annotations

import asyncio
import random
import stat
from pathlib import Path

import pytest
from tracker_support import HASH, announce

from fwchain.tracker import Tracker, state
from fwchain.tracker.core import BYTES_A_PEER, Core, Refused, TrackerError
from fwchain.tracker.peers import PeerSet


def key(number: int, width: int = 6) -> bytes:
    return number.to_bytes(width - 2, "big") + b"\x1f\x90"


@pytest.mark.parametrize("width", [6, 18])
def test_peer_set_against_a_model(width: int) -> None:
    """Two thousand seeded steps: counts, flags and windows agree with a dictionary."""
    dice = random.Random(width)
    peers = PeerSet(width)
    model: dict[bytes, bool] = {}
    for step in range(2000):
        one = key(dice.randrange(60), width)
        if dice.random() < 0.7:
            done = dice.random() < 0.5
            assert peers.put(one, step, done, 1000, 8)
            model[one] = done
        else:
            peers.drop(one)
            model.pop(one, None)
        assert len(peers) == len(model) and peers.complete == sum(model.values())
        asker = key(dice.randrange(70), width)
        want = dice.randrange(1, 70)
        found = peers.window(want, peers.place.get(asker, -1))
        rows = [found[at : at + width] for at in range(0, len(found), width)]
        assert len(set(rows)) == len(rows) and set(rows) <= set(model) - {asker}
        assert len(rows) == min(want, len(set(model) - {asker}))
    assert sorted(peers.place) == sorted(model) and len(peers.table) == width * len(model)


def test_windows_reach_everybody() -> None:
    peers = PeerSet(6)
    for number in range(100):
        peers.put(key(number), 0, False, 1000, 8)
    seen = set()
    for _ in range(200):
        found = peers.window(10)
        seen |= {found[at : at + 6] for at in range(0, 60, 6)}
    assert len(seen) == 100


def test_cap_evicts_the_long_silent() -> None:
    peers = PeerSet(6)
    for number in range(200):
        peers.put(key(number), number, False, 50, 8)
    assert len(peers) == 50
    assert key(199) in peers.place and sum(peers.seen) / 50 > 120


def test_cap_for_all_info_hashes() -> None:
    """Where memory is full a long silent peer of a large swarm goes, whoever comes; the swarms themselves stay."""
    core = Core(max_memory=100 * BYTES_A_PEER)
    one, two = b"1" * 20, b"2" * 20
    core.allow(one)
    core.allow(two)
    for number in range(150):
        core.now = 100 + number
        core.announce(one, key(number), 1, b"", 0)
        assert core.total == len(core.swarms[one].v4) <= 100
    for number in range(20):
        core.now = 300 + number
        core.announce(two, key(1000 + number, 18), 0, b"", 0)
    sizes = len(core.swarms[one].v4), len(core.swarms[two].v6)
    assert sum(sizes) == core.total == 100 and sizes[1] == 20, "a small swarm does not pay for a large one"
    assert sum(core.swarms[one].v4.seen) / sizes[0] > 195, "the long silent go first"
    core.announce(one, bytes(core.swarms[one].v4.table[:6]), 1, b"stopped", 0)
    assert core.total == 99
    core.forbid(two)
    assert core.total == sizes[0] - 1
    core.now += 10_000
    core.expire()
    assert core.total == 0


def test_ipv6_addresses_share_a_bucket_by_prefix() -> None:
    core = Core(rate=1)
    prefix = bytes.fromhex("20010db800000001")
    for number in range(10):
        core.limit((prefix + number.to_bytes(8, "big"))[:8])
    with pytest.raises(Refused, match="too many requests"):
        core.limit((prefix + bytes(8))[:8])
    core.limit(bytes.fromhex("20010db800000002"))
    core.now += 10
    core.limit((prefix + bytes(8))[:8])


def test_expiry_and_lists_for_l() -> None:
    core = Core(interval=100)
    core.allow(HASH)
    core.now = 1000
    core.announce(HASH, bytes((10, 0, 0, 1)) + b"\x1f\x90", 0, b"", 0)
    core.announce(HASH, bytes((10, 0, 0, 1)) + b"\x00\x50", 0, b"", 0)
    for port in range(4):
        core.announce(HASH, bytes((10, 0, 0, 2)) + (5000 + port).to_bytes(2, "big"), 1, b"", 0)
    rows = core.peers(HASH, 9)
    assert ("10.0.0.1", 8080, True) in rows and len(rows) == 3
    assert sum(ip == "10.0.0.2" for ip, _, _ in rows) == 2
    core.now += 400
    core.announce(HASH, bytes((10, 0, 0, 3)) + b"\x1f\x90", 1, b"", 0)
    core.now += 200
    core.expire()
    assert core.peers(HASH, 9) == [("10.0.0.3", 8080, False)]
    assert core.peers(bytes(20), 9) == []


def test_only_what_is_allowed() -> None:
    core = Core(max_torrents=2)
    core.allow(HASH)
    core.allow(bytes(20))
    with pytest.raises(TrackerError, match="more than 2 info-hashes"):
        core.allow(b"x" * 20)
    core.forbid(HASH)
    with pytest.raises(Refused, match="not served"):
        core.announce(HASH, key(1), 1, b"", 0)


def test_state_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "tracker.state"

    async def first() -> bytes:
        tracker = Tracker(state=path)
        await tracker.start()
        tracker.allow(HASH)
        await announce(tracker, 5000, left=0)
        await announce(tracker, 5001)
        await tracker.stop()
        return tracker.core.secret

    async def second(secret: bytes) -> None:
        tracker = Tracker(state=path)
        await tracker.start()
        assert tracker.core.secret == secret, "connection IDs are valid over a restart"
        assert tracker.peers(HASH, 9) == []
        tracker.allow(HASH)
        assert sorted(tracker.peers(HASH, 9)) == [("127.0.0.1", 5000, True), ("127.0.0.1", 5001, False)]
        assert tracker.core.swarms[HASH].complete == 1
        await tracker.stop()

    asyncio.run(second(asyncio.run(first())))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_state_is_saved_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracker that is killed loses the last seconds at most."""
    monkeypatch.setattr("fwchain.tracker.tracker.SAVE_S", 0)
    path = tmp_path / "tracker.state"

    async def run() -> None:
        tracker = Tracker(state=path)
        await tracker.start()
        tracker.allow(HASH)
        await announce(tracker, 5000)
        for _ in range(40):
            await asyncio.sleep(0.1)
            if path.exists():
                break
        data = path.read_bytes()
        await tracker.stop()
        core = Core()
        core.allow(HASH)
        state.load(core, data)
        assert len(core.swarms[HASH].v4) == 1

    asyncio.run(run())


@pytest.mark.parametrize("cut", [0, 7, 39, 41, 60, 70, -1])
def test_broken_state_is_left_alone(tmp_path: Path, cut: int) -> None:
    """Half a file changes nothing, and the tracker serves."""
    core = Core()
    core.allow(HASH)
    core.announce(HASH, key(1), 1, b"", 0)
    data = state.dump(core)
    fresh = Core()
    fresh.allow(HASH)
    secret = fresh.secret
    with pytest.raises(ValueError):
        state.load(fresh, data[:cut])
    assert len(fresh.swarms[HASH].v4) == 0 and fresh.secret == secret
    path = tmp_path / "tracker.state"
    path.write_bytes(data[:cut])

    async def run() -> None:
        tracker = Tracker(state=path)
        await tracker.start()
        tracker.allow(HASH)
        assert b"8:complete" in await announce(tracker)
        await tracker.stop()

    asyncio.run(run())


def test_port_taken_is_an_oserror() -> None:
    async def run() -> None:
        one, two = Tracker(), Tracker()
        await one.start()
        with pytest.raises(OSError):
            await two.start(port=one.port)
        await one.stop()

    asyncio.run(run())
