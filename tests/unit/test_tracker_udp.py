"""The tracker over UDP (BEP 15), IPv6 (BEP 7), and both protocols on one swarm."""

from __future__ import annotations

import socket
import struct

import pytest
from tracker_support import HASH, MAGIC, Udp, announce, with_tracker

from fwchain.tracker import Tracker
from fwchain.tracker import udp as udp_module


def ipv6() -> bool:
    """Whether this machine has IPv6 on loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_connect_announce_scrape() -> None:
    async def body(tracker: Tracker) -> None:
        await announce(tracker, 5000)
        client = Udp(tracker, "127.0.0.2")
        connection = await client.connect()
        answer = await client.ask(client.packet(connection, left=0, event=1))
        assert answer is not None
        action, transaction, interval, leechers, seeds = struct.unpack_from(">IIIII", answer)
        assert (action, transaction, leechers, seeds) == (1, 9, 1, 1) and interval > 60
        assert answer[20:] == bytes((127, 0, 0, 1)) + struct.pack(">H", 5000)
        scrape = await client.ask(connection + struct.pack(">II", 2, 3) + HASH + bytes(20))
        assert scrape == struct.pack(">IIIIIIII", 2, 3, 1, 0, 1, 0, 0, 0)
        client.close()

    with_tracker(body)


@pytest.mark.parametrize("extra", [b"", b"\x00\x00", b"\x02\x09/announce"])
def test_announces_of_98_100_and_109_bytes(extra: bytes) -> None:
    async def body(tracker: Tracker) -> None:
        client = Udp(tracker)
        answer = await client.ask(client.packet(await client.connect()) + extra)
        assert answer is not None and answer[:4] == bytes((0, 0, 0, 1))
        client.close()

    with_tracker(body)


@pytest.mark.parametrize("want", [200, 100, 80, 50, 0, -1])
def test_numwant_as_clients_send_it(want: int) -> None:
    async def body(tracker: Tracker) -> None:
        for host in range(1, 80):
            tracker.core.announce(HASH, bytes((10, 0, 0, host)) + b"\x20\x00", 1, b"", 0)
        client = Udp(tracker)
        answer = await client.ask(client.packet(await client.connect(), want=want))
        assert answer is not None and len(answer) == 20 + 6 * (50 if want else 0)
        client.close()

    with_tracker(body)


def test_ip_field_is_ignored() -> None:
    async def body(tracker: Tracker) -> None:
        client = Udp(tracker, "127.0.0.2")
        packet = bytearray(client.packet(await client.connect()))
        packet[84:88] = bytes((9, 9, 9, 9))
        await client.ask(bytes(packet))
        assert tracker.peers(HASH, 5) == [("127.0.0.2", 6000, False)]
        client.close()

    with_tracker(body)


def test_stopped_without_completed() -> None:
    """As some clients do; a peer that nobody knows may say it, too."""

    async def body(tracker: Tracker) -> None:
        client = Udp(tracker)
        connection = await client.connect()
        await client.ask(client.packet(connection, event=2))
        for _ in range(2):
            answer = await client.ask(client.packet(connection, event=3, left=0))
            assert answer is not None and struct.unpack_from(">II", answer, 12) == (0, 0) and len(answer) == 20
        assert tracker.core.swarms[HASH].downloaded == 0 and tracker.core.total == 0
        client.close()

    with_tracker(body)


def test_too_many_requests_of_one_address() -> None:
    """The same bucket as over HTTP; a connection ID is given all the same, for it costs nothing."""

    async def body(tracker: Tracker) -> None:
        client, other = Udp(tracker, "127.0.0.2"), Udp(tracker, "127.0.0.3")
        connection = await client.connect()
        for _ in range(10):
            answer = await client.ask(client.packet(connection))
            assert answer is not None and answer[3] == 1
        answer = await client.ask(client.packet(connection))
        assert answer is not None and answer[8:] == b"too many requests"
        assert b"too many requests" in await announce(tracker, ip="127.0.0.2")
        answer = await other.ask(other.packet(await other.connect()))
        assert answer is not None and answer[3] == 1
        client.close()
        other.close()

    with_tracker(body, rate=1)


def test_a_scrape_is_bounded_and_tells_nothing_of_others() -> None:
    async def body(tracker: Tracker) -> None:
        client = Udp(tracker)
        connection = await client.connect()
        head = connection + struct.pack(">II", 2, 3)
        answer = await client.ask(head + 100 * HASH)
        assert answer is not None and len(answer) == 8 + 12 * 70
        answer = await client.ask(head + bytes(20) + HASH[:19])
        assert answer == struct.pack(">II", 2, 3) + bytes(12)
        client.close()

    with_tracker(body)


def test_connection_ids_hang_on_the_trackers_own_secret() -> None:
    seen = set()

    async def body(tracker: Tracker) -> None:
        client = Udp(tracker, "127.0.0.2")
        seen.add(await client.connect())
        client.close()

    for _ in range(3):
        with_tracker(body)
    assert len(seen) == 3


def test_bad_packets() -> None:
    """Silence below 16 bytes and for a wrong magic; an error is never larger than what it answers."""

    async def body(tracker: Tracker) -> None:
        client = Udp(tracker)
        connection = await client.connect()
        assert await client.ask(b"\0" * 15, 0.1) is None
        assert await client.ask(struct.pack(">QII", MAGIC + 1, 0, 7), 0.1) is None
        for packet in (
            client.packet(connection)[:97],
            client.packet(bytes(8)),
            client.packet(connection, port=0),
            connection + struct.pack(">II", 9, 9),
            bytes(8) + struct.pack(">II", 2, 9),
            client.packet(connection).replace(HASH, bytes(20)),
        ):
            answer = await client.ask(packet)
            assert answer is not None and answer[:8] == struct.pack(">II", 3, struct.unpack_from(">I", packet, 12)[0])
            assert len(answer) <= len(packet)
        client.close()

    with_tracker(body)


def test_connection_id_is_for_one_address() -> None:
    async def body(tracker: Tracker) -> None:
        one, two = Udp(tracker, "127.0.0.2"), Udp(tracker, "127.0.0.3")
        connection = await one.connect()
        answer = await two.ask(two.packet(connection))
        assert answer is not None and b"connection expired" in answer
        again = await one.ask(one.packet(connection))
        assert again is not None and again[:4] == bytes((0, 0, 0, 1))
        one.close()
        two.close()

    with_tracker(body)


def test_connection_id_lives_two_minutes_at_most() -> None:
    async def body(tracker: Tracker) -> None:
        tracker._ticker.cancel()  # type: ignore[union-attr]
        client = Udp(tracker)
        tracker.core.now = 60 * 1000
        connection = await client.connect()
        tracker.core.now += udp_module.WINDOW_S + 59
        answer = await client.ask(client.packet(connection))
        assert answer is not None and answer[:4] == bytes((0, 0, 0, 1))
        tracker.core.now += 1
        answer = await client.ask(client.packet(connection))
        assert answer is not None and b"connection expired" in answer
        client.close()

    with_tracker(body)


@pytest.mark.skipif(not ipv6(), reason="no IPv6 on this machine's loopback")
def test_ipv6_over_both_protocols() -> None:
    """Peers of the other family are known to HTTP clients (BEP 7); UDP tells each family its own."""

    async def body(tracker: Tracker) -> None:
        await announce(tracker, 5000)
        six = await announce(tracker, 5001, ip="::1")
        assert bytes((127, 0, 0, 1)) + struct.pack(">H", 5000) in six
        four = await announce(tracker, 5000)
        key = socket.inet_pton(socket.AF_INET6, "::1") + struct.pack(">H", 5001)
        assert b"6:peers618:" + key in four
        client = Udp(tracker, "::1")
        answer = await client.ask(client.packet(await client.connect(), port=6001))
        assert answer is not None and answer[20:] == key
        client.close()

    with_tracker(body, host="::")
