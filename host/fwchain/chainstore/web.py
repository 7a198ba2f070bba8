"""The chain over HTTP, for boards, other nodes, and people with curl.

GET /chain/genesis              block 0, encoded
GET /chain/tip                  JSON: height, hash, counter, time, head (signed, hex), checkpoint
(hex or null) GET /chain/checkpoint           the newest checkpoint, encoded; 404 when there is none
GET /chain/headers?from=&count= headers of 88 bytes, one after the other
GET /chain/heads?from=&count=   bencoded list of signed heads
GET /chain/block/HASH|HEIGHT    a block, encoded
GET /chain/proof/DIGEST         the inclusion of the record with this SHA-256; ?file=1: the whole
proof file
GET /chain/pool?after=          bencoded list of logs that no block holds yet
GET /chain/blocks?from=&count=  JSON: what `fwchain chain show` prints
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.reader import MAX_HEADERS, MAX_HEADS
from fwchain.chainstore.show import summaries
from fwchain.chainstore.store import Store
from fwnode.wire.bencode import encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BINARY = "application/octet-stream"
MAX_POOL_ANSWER = 100
MAX_SUMMARIES = 200


def routes(store: Store) -> list[web.RouteDef]:
    """The routes of `/chain/…` over one store; a store that fails answers 503."""

    async def genesis(_: web.Request) -> web.Response:
        return _binary(store.genesis.data)

    async def tip(_: web.Request) -> web.Response:
        found = await asyncio.to_thread(store.tip)
        checkpoint = await asyncio.to_thread(store.checkpoint)
        return web.json_response(
            {
                "height": found.height,
                "hash": found.hash.hex(),
                "counter": found.counter,
                "time": found.time,
                "head": found.announcement.hex(),
                "checkpoint": checkpoint.data.hex() if checkpoint else None,
            }
        )

    async def checkpoint(_: web.Request) -> web.Response:
        found = await asyncio.to_thread(store.checkpoint)
        return _binary(found.data if found else None)

    async def headers(request: web.Request) -> web.Response:
        first, count = _range(request, MAX_HEADERS)
        return _binary(await asyncio.to_thread(store.headers, first, count))

    async def heads(request: web.Request) -> web.Response:
        first, count = _range(request, MAX_HEADS)
        return _binary(encode(await asyncio.to_thread(store.heads, first, count)))

    async def block(request: web.Request) -> web.Response:
        name = request.match_info["which"]
        which = int(name) if len(name) < 11 and name.isdecimal() else _digest(name)
        return _binary(await asyncio.to_thread(store.block, which))

    async def proof(request: web.Request) -> web.Response:
        digest = _digest(request.match_info["digest"])
        whole = request.query.get("file", "") not in ("", "0")
        return _binary(await asyncio.to_thread(store.proof_file if whole else store.inclusion, digest))

    async def pool(request: web.Request) -> web.Response:
        after = _number(request, "after", 0)
        return _binary(encode(await asyncio.to_thread(store.pool, MAX_POOL_ANSWER, after)))

    async def blocks(request: web.Request) -> web.Response:
        first, count = _range(request, MAX_SUMMARIES)
        rows = await asyncio.to_thread(lambda: list(summaries(store, first, count)))
        return web.json_response(rows)

    handlers = {
        "/chain/genesis": genesis,
        "/chain/tip": tip,
        "/chain/checkpoint": checkpoint,
        "/chain/headers": headers,
        "/chain/heads": heads,
        "/chain/block/{which}": block,
        "/chain/proof/{digest}": proof,
        "/chain/pool": pool,
        "/chain/blocks": blocks,
    }
    return [web.get(path, _guarded(handler)) for path, handler in handlers.items()]


def _guarded(handler: Handler) -> Handler:
    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except StoreError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": "5"}) from error

    return guarded


def _binary(data: bytes | None) -> web.Response:
    if data is None:
        raise web.HTTPNotFound(text="not in the chain\n")
    return web.Response(body=data, content_type=BINARY)


def _digest(name: str) -> bytes:
    try:
        digest = bytes.fromhex(name)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise web.HTTPBadRequest(text="a hash of 64 hexadecimal digits expected\n")
    return digest


def _number(request: web.Request, name: str, default: int) -> int:
    raw = request.query.get(name, str(default))
    if not raw.isdecimal() or len(raw) > 10:
        raise web.HTTPBadRequest(text=f"{name}: a number of at most 10 digits expected\n")
    return int(raw)


def _range(request: web.Request, most: int) -> tuple[int, int]:
    return _number(request, "from", 0), min(_number(request, "count", most), most)
