"""The board's HTTP and its one port, against itself on loopback: both interpreters, real sockets."""

import asyncio

from fwnode.compat import MICROPYTHON, randbelow
from fwnode.net import NetError
from fwnode.net.connect import connect
from fwnode.net.http import fetch, get, post, split_url
from fwnode.net.listener import Listener
from fwnode.net.messages import BadHttp
from fwnode.net.tcp import close, readinto
from support import raises


class Echo:
    """A listener on a port found now, and what came to it."""

    def __init__(self):
        self.peers = []

    async def message(self, body, ip):
        return ip.encode() + b" " + body

    async def peer(self, reader, writer, ip):
        rest, at = bytearray(3), 0
        while at < 3:
            at += await readinto(reader, memoryview(rest)[at:])
        self.peers.append((bytes(rest), ip))

    def get(self, path):
        return b"0123456789" * 300 if path == "/big" else None

    async def start(self):
        for _ in range(20):
            port = 20000 + randbelow(20000)
            self.listener = Listener("127.0.0.1", port, self.message, self.peer, self.get)
            try:
                await self.listener.start()
            except NetError:
                continue
            self.url = "http://127.0.0.1:{}".format(port)
            return port
        raise AssertionError("no free port")


def served(test):
    async def main():
        echo = Echo()
        port = await echo.start()
        try:
            await test(echo, port)
        finally:
            await echo.listener.stop()

    asyncio.run(main())


async def raw(port, data):
    """What the listener answers to these bytes."""
    reader, writer = await connect("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        return await reader.read(200)
    finally:
        await close(writer)


def test_a_message_goes_out_and_its_answer_comes_back():
    async def test(echo, port):
        assert await post(echo.url + "/fwchain", b"hello", 100) == b"127.0.0.1 hello"

    served(test)


def test_a_connection_leaves_from_the_address_that_is_given():
    async def test(echo, port):
        assert await post(echo.url + "/fwchain", b"x", 100, "127.0.0.9") == b"127.0.0.9 x"

    served(test)


def test_the_peer_wire_shares_the_port_by_its_first_byte():
    async def test(echo, port):
        reader, writer = await connect("127.0.0.1", port)
        writer.write(b"\x13abc")
        await writer.drain()
        assert await reader.read(1) == b""
        await close(writer)
        assert echo.peers == [(b"abc", "127.0.0.1")]

    served(test)


def test_what_is_neither_http_nor_the_peer_wire_is_closed_at_once():
    """Several clients try an obfuscated handshake first: it must not hold one of a board's few connections."""

    async def test(echo, port):
        assert await raw(port, b"\x9c") == b""
        assert echo.peers == []

    served(test)


def test_bodies_beyond_the_limit_are_refused_on_both_sides():
    async def test(echo, port):
        for data, limit, text in ((b"x" * 17000, 100, "status 413"), (b"x" * 200, 100, "limit 100")):
            try:
                await post(echo.url + "/fwchain", data, limit)
            except NetError as error:
                assert text in str(error), str(error)
            else:
                raise AssertionError(text)

    served(test)


def test_malformed_requests_get_an_answer_that_says_why():
    async def test(echo, port):
        for data, status in (
            (b"GET\r\n\r\n", b"400"),
            (b"POST /fwchain HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"411"),
            (b"POST /fwchain HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
            (b"PUT /fwchain HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 40 + b"\r\n", b"431"),
        ):
            assert (await raw(port, data))[9:12] == status, data

    served(test)


def test_a_whole_body_is_fetched_piece_by_piece():
    async def test(echo, port):
        assert await get(echo.url + "/big", 4000) == b"0123456789" * 300
        parts = []
        assert await fetch(echo.url + "/big", lambda view: parts.append(len(view))) == 200
        assert sum(parts) == 3000 and len(parts) > 1

    served(test)


def test_a_range_that_is_not_granted_is_an_error():
    async def test(echo, port):
        try:
            await fetch(echo.url + "/big", lambda view: None, 0, 100)
        except BadHttp as error:
            assert error.status == 200
        else:
            raise AssertionError("took the whole for a range")

    served(test)


def test_nobody_there_is_an_error_that_names_the_address():
    async def main():
        echo = Echo()
        port = await echo.start()
        await echo.listener.stop()
        try:
            await post("http://127.0.0.1:{}/fwchain".format(port), b"x", 100, None, 2000)
        except NetError as error:
            assert str(port) in str(error)
        else:
            raise AssertionError("somebody answered")

    asyncio.run(main())


def test_urls_are_split_and_bad_ones_named():
    assert split_url("http://a.example:81/b/c") == ("a.example", 81, "/b/c")
    assert split_url("http://a.example") == ("a.example", 80, "/")
    for url in ("https://a", "http://", "http://:80/", "http://a:x/"):
        assert "url:" in str(raises(BadHttp, split_url, url))


def test_a_connection_that_finds_no_heap_is_not_the_last_one():
    kept, failed = asyncio.StreamReader, []

    def short(sock, extra=None):
        if extra is not None and not failed:
            failed.append(sock)
            raise MemoryError
        return kept(sock) if extra is None else kept(sock, extra)

    async def test(echo, port):
        if MICROPYTHON:  # CPython's asyncio accepts by itself
            asyncio.StreamReader = short
            assert await raw(port, b"GET /big HTTP/1.1\r\n\r\n") == b"" and failed
        assert b"200" in await raw(port, b"GET /big HTTP/1.1\r\n\r\n")

    try:
        served(test)
    finally:
        asyncio.StreamReader = kept
