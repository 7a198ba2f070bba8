"""The tracker over HTTP: what real clients send, what nobody should send, and what is handed on."""

from __future__ import annotations

import asyncio
import struct
import time
from urllib.parse import quote

import pytest
from aiohttp import web
from tracker_support import HASH, announce, get, raw, with_tracker

from fwchain.tracker import Tracker


def peers(body: bytes) -> list[tuple[str, int]]:
    """The compact IPv4 peers of an answer."""
    rest = body.split(b"5:peers", 1)[1]
    size, _, data = rest.partition(b":")
    data = data[: int(size)]
    rows = [data[at : at + 6] for at in range(0, len(data), 6)]
    return [(".".join(map(str, row[:4])), struct.unpack(">H", row[4:])[0]) for row in rows]


def test_announce_and_peers() -> None:
    async def body(tracker: Tracker) -> None:
        first = await announce(tracker, 5000, event="started")
        assert peers(first) == []
        assert b"8:completei0e10:incompletei1e8:intervali" in first
        second = await announce(tracker, 5001, left=0)
        assert peers(second) == [("127.0.0.1", 5000)]
        assert b"8:completei1e10:incompletei1e" in second
        assert peers(await announce(tracker, 5000)) == [("127.0.0.1", 5001)]
        await announce(tracker, 5001, event="stopped")
        assert peers(await announce(tracker, 5000)) == []

    with_tracker(body)


def test_interval_is_jittered() -> None:
    async def body(tracker: Tracker) -> None:
        seen = set()
        for port in range(5000, 5008):
            answer = await announce(tracker, port)
            seen.add(answer.split(b"8:intervali")[1].split(b"e")[0])
        assert len(seen) > 1 and all(900 <= int(text) <= 1100 for text in seen)

    with_tracker(body, interval=1000)


@pytest.mark.parametrize("want", [200, 100, 80, 50, 0, -1, None])
def test_numwant_as_clients_send_it(want: int | None) -> None:
    async def body(tracker: Tracker) -> None:
        for host in range(1, 80):
            tracker.core.announce(HASH, bytes((10, 0, 0, host)) + b"\x20\x00", 1, b"", 0)
        answer = await announce(tracker, **({} if want is None else {"numwant": want}))
        rows = peers(answer)
        assert len(rows) == (0 if want == 0 else 50)
        assert len(set(rows)) == len(rows) and ("127.0.0.1", 5000) not in rows

    with_tracker(body)


def test_ip_parameter_is_ignored() -> None:
    async def body(tracker: Tracker) -> None:
        await announce(tracker, 5000, ip="127.0.0.5", ipv4="8.8.8.8")
        path = f"/announce?info_hash={quote(HASH)}&peer_id=x&port=5009&left=1&ip=9.9.9.9"
        assert peers(await get(tracker, path)) == [("127.0.0.5", 5000)]
        assert peers(await announce(tracker, 5010, ip="127.0.0.6"))[0][0].startswith("127.0.0.")

    with_tracker(body)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/announce?port=1&info_hash=short", b"info_hash of 20 bytes"),
        ("/announce?port=5000", b"info_hash of 20 bytes"),
        (f"/announce?info_hash={quote(HASH)}&port=0", b"port out of range"),
        (f"/announce?info_hash={quote(HASH)}", b"port out of range"),
        (f"/announce?info_hash={quote(HASH)}&port=65536", b"port out of range"),
        (f"/announce?info_hash={quote(HASH)}&port=-5", b"port out of range"),
        (f"/announce?info_hash={quote(HASH)}&port=abc", b"port is no number"),
        (f"/announce?info_hash={quote(HASH)}&port=5000&left=9x", b"left is no number"),
        (f"/announce?info_hash={quote(HASH)}&port=5000&numwant=" + "9" * 30, b"numwant is no number"),
        (f"/announce?info_hash={quote(bytes(20))}&port=5000", b"info-hash not served"),
        ("/scrape", b"scrape of everything"),
        ("/scrape?x=y", b"scrape of everything"),
    ],
)
def test_refused_with_a_reason(path: str, why: bytes) -> None:
    async def body(tracker: Tracker) -> None:
        answer = await get(tracker, path)
        assert answer.startswith(b"d14:failure reason") and why in answer
        assert len(tracker.core.swarms[HASH].v4) == 0
        assert any(why.decode() in name for name in tracker.counts)

    with_tracker(body)


def test_scrape() -> None:
    async def body(tracker: Tracker) -> None:
        await announce(tracker, 5000, left=1)
        await announce(tracker, 5000, left=0, event="completed")
        await announce(tracker, 5000, left=0, event="completed")
        await announce(tracker, 5001, left=1)
        body = await get(tracker, f"/scrape?info_hash={quote(HASH)}&info_hash={quote(bytes(20))}")
        expected = b"d5:filesd20:%bd8:completei1e10:downloadedi1e10:incompletei1eeee" % HASH
        assert body == expected

    with_tracker(body)


def test_keep_alive_and_pieces_of_a_request() -> None:
    """Two announces on one connection, the first byte by byte."""

    async def body(tracker: Tracker) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", tracker.port)
        request = f"GET /announce?info_hash={quote(HASH)}&port=5000&left=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for byte in request:
            writer.write(bytes([byte]))
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: keep-alive" in head
        await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r")[0]))
        writer.write(request.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
        assert b"Connection: close" in await reader.read()
        writer.close()

    with_tracker(body)


def test_long_head_is_refused() -> None:
    async def body(tracker: Tracker) -> None:
        for path in (b"/announce?x=", b"/scrape?x="):
            answer = await raw(tracker, b"GET " + path + b"a" * 5000 + b" HTTP/1.1\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 431")
        answer = await raw(tracker, b"GET /announce?x HTTP/1.1\r\nX: " + b"a" * 4100)
        assert answer.startswith(b"HTTP/1.1 431")

    with_tracker(body)


def test_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwchain.tracker.web.IDLE_S", 1)

    async def body(tracker: Tracker) -> None:
        assert await raw(tracker, b"GET /ann") == b""

    with_tracker(body)


def test_half_a_request_costs_no_processor_time() -> None:
    """Neither a half request nor one whose sender has ended keeps the loop awake."""

    async def body(tracker: Tracker) -> None:
        writers = []
        for data in (b"GET /ann", b"GET /announce?info_hash=" + b"x" * 100, b"G"):
            _, writer = await asyncio.open_connection("127.0.0.1", tracker.port)
            writer.write(data)
            writers.append(writer)
        writers[1].write_eof()
        await asyncio.sleep(0.1)
        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.1
        assert len(tracker._http[0].waiting) == 2
        for writer in writers:
            writer.close()

    with_tracker(body)


def test_keep_alive_lasts_while_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwchain.tracker.web.IDLE_S", 1)

    async def body(tracker: Tracker) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", tracker.port)
        request = f"GET /announce?info_hash={quote(HASH)}&port=5000&left=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for _ in range(4):
            writer.write(request[:30])
            await asyncio.sleep(0.4)
            writer.write(request[30:])
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r")[0]))
        writer.close()

    with_tracker(body)


def test_connection_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwchain.tracker.web.MAX_CONNECTIONS", 3)

    async def body(tracker: Tracker) -> None:
        writers = [(await asyncio.open_connection("127.0.0.1", tracker.port))[1] for _ in range(3)]
        await asyncio.sleep(0.05)
        assert await raw(tracker, b"GET /announce?x HTTP/1.1\r\n\r\n") == b""
        for writer in writers:
            writer.close()

    with_tracker(body)


def test_without_a_fallback_the_rest_is_404() -> None:
    async def body(tracker: Tracker) -> None:
        for request in (b"GET / HTTP/1.1\r\n\r\n", b"POST /fwchain HTTP/1.1\r\n\r\n", b"\x13BitTorrent protocol"):
            assert (await raw(tracker, request)).startswith(b"HTTP/1.1 404")

    with_tracker(body)


def test_other_requests_reach_aiohttp_whole() -> None:
    """A POST whose head and body come in one packet is handed over with its bytes; so is what looks like a scrape."""

    async def run() -> None:
        async def echo(request: web.Request) -> web.Response:
            return web.Response(body=b"%b:%b" % (request.path.encode(), await request.read()))

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        tracker = Tracker()
        assert runner.server is not None
        await tracker.start(fallback=runner.server)
        tracker.allow(HASH)
        post = b"POST /fwchain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        assert (await raw(tracker, post)).endswith(b"/fwchain:hello")
        other = b"GET /scraper HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await raw(tracker, other)).endswith(b"/scraper:")
        assert b"8:complete" in await announce(tracker)
        await tracker.stop()
        await runner.cleanup()

    asyncio.run(run())


def test_too_many_requests_of_one_address() -> None:
    async def body(tracker: Tracker) -> None:
        answers = [await announce(tracker, 5000) for _ in range(12)]
        assert b"too many requests" not in answers[9] and b"too many requests" in answers[11]
        assert b"8:complete" in await announce(tracker, 5000, ip="127.0.0.2")

    with_tracker(body, rate=1)


def test_few_ports_of_one_address() -> None:
    async def body(tracker: Tracker) -> None:
        for port in range(5000, 5004):
            await announce(tracker, port)
        assert b"too many ports" in await announce(tracker, 5004)
        assert b"8:complete" in await announce(tracker, 5001)
        assert b"8:complete" in await announce(tracker, 5004, ip="127.0.0.2")

    with_tracker(body, ports_per_address=4)
