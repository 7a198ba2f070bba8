"""A normal node's one port: the peer wire, HTTP, and what is neither."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from fwchain.normal import port as ports
from fwchain.normal.port import Port

Talk = Callable[[bytes], Awaitable[bytes]]


def with_port(use: Callable[[Port, Talk], Awaitable[None]]) -> list[tuple[bytes, str]]:
    """Run `use` against a port; what the peer wire got."""
    got: list[tuple[bytes, str]] = []

    async def on_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ip: str) -> None:
        got.append((await reader.read(67), ip))
        writer.write(b"pieces")

    async def main() -> None:
        app = web.Application()

        async def hello(request: web.Request) -> web.Response:
            return web.Response(body=b"hello " + await request.read())

        app.router.add_route("*", "/hello", hello)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        assert runner.server is not None
        port = Port(runner.server, on_peer)
        port.start("127.0.0.1", 0)
        assert port._sock is not None
        number = port._sock.getsockname()[1]

        async def talk(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            for part in (data[:1], data[1:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)  # two packets: the first byte is not all that there will be
            try:
                return await asyncio.wait_for(reader.read(), 20)
            finally:
                writer.close()

        try:
            await use(port, talk)
        finally:
            await port.stop()
            await runner.cleanup()

    asyncio.run(main())
    return got


def test_each_protocol_gets_the_whole_of_its_connection() -> None:
    async def use(port: Port, talk: Talk) -> None:
        answers = await asyncio.gather(
            talk(b"\x13BitTorrent protocol" + bytes(48)),
            talk(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            talk(b"POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyou"),
        )
        assert answers[0] == b"pieces"
        assert answers[1].startswith(b"HTTP/1.1 200") and answers[1].endswith(b"\r\n\r\nhello ")
        assert answers[2].endswith(b"hello you")

    assert with_port(use) == [(b"BitTorrent protocol" + bytes(48), "127.0.0.1")]


def test_what_is_neither_is_closed_at_once() -> None:
    async def use(port: Port, talk: Talk) -> None:
        for data in (b"\x00\x00", b"SSH-2.0-x\r\n", b"\x16\x03\x01"):
            try:
                assert await talk(data) == b""
            except ConnectionError:
                pass  # closed over what was still on its way

    assert with_port(use) == []


def test_who_says_nothing_is_let_go_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "FIRST_S", 0.1)
    monkeypatch.setattr(ports, "MAX_OPEN", 2)

    async def use(port: Port, talk: Talk) -> None:
        assert port._sock is not None
        where = port._sock.getsockname()[:2]
        silent = [await asyncio.open_connection(*where) for _ in range(3)]
        for reader, _ in silent:
            assert await asyncio.wait_for(reader.read(), 20) == b""
        assert port.refused == 1
        assert await talk(b"\x13" + bytes(67)) == b"pieces"
        for _, writer in silent:
            writer.close()

    assert len(with_port(use)) == 1
