"""The chain over HTTP: its routes, sync between nodes, false nodes, and a store that fails."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from chain_parts import TIME, Network
from fwchain.chainstore import Miner, Store, StoreError
from fwchain.chainstore.audit import verify_chain
from fwchain.chainstore.ledger import Ledger
from fwchain.chainstore.level import Level
from fwchain.chainstore.sync import Remote, SyncError, sync, take_announcement
from fwchain.chainstore.web import routes
from fwchain.errors import Unreachable
from fwnode.chain import ChainError, checkpoint, header, proof
from fwnode.compat import run
from fwnode.trust import root
from fwnode.wire.bencode import decode, encode

NOW = TIME + 50000


@pytest.fixture(scope="module")
def net() -> Network:
    return Network()


class World:
    """Stores of one network, and a client."""

    def __init__(self, net: Network, folder: Path) -> None:
        self.net = net
        self.folder = folder
        self.count = 0

    def store(self) -> Store:
        self.count += 1
        path = self.folder / f"{self.count}.db"
        return Store(path, self.net.genesis.data, [self.net.root_data], lambda: NOW)

    def grow(self, store: Store, count: int, first: int, time: int = 0) -> None:
        """Add `count` blocks with one log each."""
        link = store.link()
        for n in range(first, first + count):
            data = self.net.by_node(link, [self.net.log(n)], time=TIME + 100 + time + n)
            store.add_block(data)
            link = self.net.link(data, link)

    def serve(self, store: Any, use: Callable[[Remote], Awaitable[Any]], extra: list[Any] | None = None) -> Any:
        """Run `use` against a server of the store, or of the routes `extra`."""

        async def main() -> Any:
            app = web.Application()
            app.add_routes(extra if extra is not None else routes(store))
            async with TestServer(app) as server, aiohttp.ClientSession() as session:
                return await use(Remote(session, str(server.make_url("/"))))

        return asyncio.run(main())


@pytest.fixture
def world(net: Network, tmp_path: Path) -> World:
    return World(net, tmp_path)


def test_routes(world: World) -> None:
    store = world.store()
    world.grow(store, 3, 1)
    store.add_log(world.net.log(9))

    async def use(remote: Remote) -> None:
        assert await remote.get("/chain/genesis", 999) == world.net.genesis.data
        told = json.loads(await remote.get("/chain/tip", 9999) or b"")
        assert told["height"] == 3 and told["checkpoint"] is None
        assert bytes.fromhex(told["head"]) == store.tip().announcement
        assert await remote.get("/chain/headers?from=1", 9999) == store.headers(1, 3)
        assert decode(await remote.get("/chain/heads?from=2&count=1", 9999) or b"") == store.heads(2, 1)
        assert await remote.get("/chain/block/2", 9999) == store.block(2)
        assert await remote.block(store.tip().hash) == store.block(3)
        assert await remote.get("/chain/block/4", 9999) is None
        digest = hashlib.sha256(world.net.log(2)).digest()
        found = await remote.get(f"/chain/proof/{digest.hex()}", 9999)
        proof.Inclusion(found).check(store.headers(2, 1))
        whole = await remote.get(f"/chain/proof/{digest.hex()}?file=1", 99999)
        assert run(proof.check(whole, world.net.genesis))[0].data == world.net.log(2)
        assert await remote.get(f"/chain/proof/{bytes(32).hex()}", 9999) is None
        assert await remote.pool(0) == [world.net.log(9)] and await remote.pool(1) == []
        rows = json.loads(await remote.get("/chain/blocks?from=1&count=9", 99999) or b"")
        assert [row["height"] for row in rows] == [1, 2, 3] and rows[0]["logs"][0]["outcome"] == "current"
        assert rows[0]["maker"] == "verification node"
        for wrong in ("/chain/headers?from=x", "/chain/block/zz", "/chain/proof/12", "/chain/heads?count=-1"):
            with pytest.raises(Unreachable, match="400"):
                await remote.get(wrong, 999)
        with pytest.raises(SyncError, match="more than 10 bytes"):
            await remote.get("/chain/genesis", 10)

    world.serve(store, use)


def test_a_store_that_fails_answers_503_and_comes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store = world.store()

    async def use(remote: Remote) -> None:
        with monkeypatch.context() as patch:

            def gone() -> None:
                raise StoreError("chain store: cannot read: disk I/O error")

            patch.setattr(store, "tip", gone)
            with pytest.raises(Unreachable, match="503"):
                await remote.tip()
        assert (await remote.tip())[0] == 0

    world.serve(store, use)


def test_sync_from_nothing_onward_and_over_a_fork(world: World) -> None:
    ours, theirs = world.store(), world.store()
    world.grow(theirs, 25, 1)
    for n in (100, 101):
        theirs.add_log(world.net.log(n))
    ours.add_log(world.net.log(3))

    async def use(remote: Remote) -> None:
        first = await sync(ours, remote)
        assert (first.blocks, first.logs, first.height) == (25, 2, 25)
        assert ours.tip().hash == theirs.tip().hash and len(ours.pool()) == 2
        again = await sync(ours, remote)
        assert (again.blocks, again.logs) == (0, 0)
        world.grow(theirs, 6, 30, 500)
        world.grow(ours, 4, 40, 900)
        over = await sync(ours, remote)
        assert over.reorganised and over.returned == 4 and over.height == 31
        assert ours.tip().hash == theirs.tip().hash
        assert sorted(ours.pool()) == sorted(world.net.log(n) for n in (100, 101, 40, 41, 42, 43))

    world.serve(theirs, use)
    assert verify_chain(ours, NOW).logs == 31


def test_a_branch_that_does_not_win_is_not_fetched(world: World) -> None:
    ours, theirs = world.store(), world.store()
    world.grow(ours, 5, 1)
    world.grow(theirs, 4, 10)

    async def use(remote: Remote) -> None:
        assert (await sync(ours, remote)).blocks == 0
        await remote.get("/chain/genesis", 999)

    world.serve(theirs, use)
    assert ours.tip().height == 5 and ours.block(theirs.tip().hash) is None


def test_two_nodes_end_on_the_same_tip_and_lose_no_log(world: World) -> None:
    one, two = world.store(), world.store()
    world.grow(one, 3, 1)
    world.grow(two, 3, 10)

    async def from_two(remote: Remote) -> None:
        await sync(one, remote)

    async def from_one(remote: Remote) -> None:
        await sync(two, remote)

    for _ in range(2):
        world.serve(two, from_two)
        world.serve(one, from_one)
    assert one.tip().hash == two.tip().hash
    Miner(one, world.net.node).flush()
    world.serve(one, from_one)
    assert one.tip().hash == two.tip().hash and verify_chain(two, NOW).logs == 6
    assert one.pool() == two.pool() == []


def test_no_sync_below_a_checkpoint(world: World) -> None:
    ours, theirs = world.store(), world.store()
    world.grow(ours, 4, 1)
    world.grow(theirs, 9, 20)
    link = ours.link(header.hash_of(ours.headers(3, 1)))
    ours.set_checkpoint(run(checkpoint.sign(checkpoint.build(world.net.net, link), world.net.net, world.net.node)))

    async def use(remote: Remote) -> None:
        with pytest.raises(SyncError, match="does not hold block 3"):
            await sync(ours, remote)

    world.serve(theirs, use)
    assert ours.tip().height == 4


def test_a_checkpoint_comes_with_the_sync(world: World) -> None:
    ours, theirs = world.store(), world.store()
    world.grow(theirs, 4, 1)
    link = theirs.link(header.hash_of(theirs.headers(2, 1)))
    unsigned = checkpoint.build(world.net.net, link)

    async def use(remote: Remote) -> None:
        assert await remote.get("/chain/checkpoint", 999) is None
        theirs.set_checkpoint(run(checkpoint.sign(unsigned, world.net.net, world.net.node)))
        await sync(ours, remote)
        assert ours.checkpoint().height == 2  # type: ignore[union-attr]

    world.serve(theirs, use)


def test_false_nodes(world: World) -> None:
    theirs = world.store()
    world.grow(theirs, 6, 1)

    def lying(**instead: Callable[[web.Request], Any]) -> list[Any]:
        """The routes of `theirs` with some answered by others."""
        made = []
        for route in routes(theirs):
            name = route.path.split("/")[2]  # type: ignore[attr-defined]
            if name in instead:

                async def answer(request: web.Request, give: Any = instead[name]) -> web.Response:
                    given = give(request)
                    return given if isinstance(given, web.Response) else web.Response(body=given)

                made.append(web.get(route.path, answer))  # type: ignore[attr-defined]
            else:
                made.append(route)
        return made

    heads = theirs.headers(1, 6)
    third = theirs.block(3) or b""
    forged = encode({**decode(third), "sig": bytes(64)})
    unsigned = checkpoint.build(world.net.net, theirs.link())
    no_work = heads[:172] + bytes(4) + heads[176:]
    far = json.dumps({"height": 10**6, "hash": "ab" * 32})

    def from_(data: bytes) -> Callable[[web.Request], bytes]:
        return lambda request: data[(int(request.query["from"]) - 1) * 88 :][: int(request.query["count"]) * 88]

    cases: list[tuple[dict[str, Any], str, int]] = [
        ({"tip": lambda _: b"{}"}, "no tip", 0),
        ({"tip": lambda _: b"{" * 9000}, "more than", 0),
        ({"headers": lambda _: heads[:-1]}, "are no headers", 0),
        ({"headers": from_(heads[88:] + heads[:88])}, "does not link", 0),
        ({"headers": from_(no_work)}, "header 2", 0),
        ({"block": lambda _: b"junk"}, "block 1", 0),
        ({"block": lambda _: theirs.block(1)}, "block 2 is not the one", 1),
        ({"block": lambda r: web.Response(status=404)}, "a header and not its block", 0),
        (
            {"block": lambda r: forged if body_of(theirs, r) == third else body_of(theirs, r)},
            "block 3: signature",
            2,
        ),
        ({"checkpoint": lambda _: b"junk"}, "checkpoint", 6),
        ({"checkpoint": lambda _: unsigned}, "0 of 1 verification nodes", 6),
        ({"pool": lambda _: b"l1:ae"}, "", 6),
        ({"pool": lambda _: b"junk"}, "pool", 6),
        ({"tip": lambda _: far.encode()}, "", 6),
    ]
    for instead, text, height in cases:
        ours = world.store()

        async def use(remote: Remote, ours: Store = ours, text: str = text) -> None:
            if text:
                with pytest.raises(SyncError, match=text):
                    await sync(ours, remote)
            else:
                await sync(ours, remote)

        world.serve(None, use, lying(**instead))
        assert ours.tip().height == height, text


def body_of(store: Store, request: web.Request) -> bytes:
    return store.block(bytes.fromhex(request.match_info["which"])) or b""


def test_a_block_announced_by_its_head_is_fetched_by_hash(world: World) -> None:
    ours, theirs = world.store(), world.store()
    world.grow(theirs, 1, 1)

    async def use(remote: Remote) -> None:
        taken = await take_announcement(ours, remote, theirs.tip().announcement)
        assert (taken.blocks, taken.height) == (1, 1)
        assert (await take_announcement(ours, remote, theirs.tip().announcement)).blocks == 0
        world.grow(theirs, 3, 5)
        assert (await take_announcement(ours, remote, theirs.tip().announcement)).blocks == 3
        idle = header.decode(theirs.headers(4, 1))
        while idle.hash() < header.target(world.net.genesis.difficulty):
            idle.nonce += 1
        lazy = encode({**decode(theirs.tip().announcement), "head": idle.encode()})
        with pytest.raises(ChainError, match="no work"):
            await take_announcement(ours, remote, lazy)

    world.serve(theirs, use)
    assert ours.tip().hash == theirs.tip().hash


def test_a_new_trust_root_comes_with_the_sync(world: World) -> None:
    ours, theirs = world.store(), world.store()
    second = run(root.build(world.net.root_body(2, []), [world.net.owner]))
    forged = run(root.build(world.net.root_body(2, []), [world.net.vendor]))
    theirs.set_roots([world.net.root_data, second])
    theirs.add_log(world.net.log(1))
    Miner(theirs, world.net.node).flush()

    def with_root(data: bytes) -> list[Any]:
        async def answer(request: web.Request) -> web.Response:
            if request.match_info["number"] != "2":
                raise web.HTTPNotFound
            return web.Response(body=data)

        return [*routes(theirs), web.get("/root/{number}", answer)]

    async def refused(remote: Remote) -> None:
        with pytest.raises(SyncError, match="trust root 2"):
            await sync(ours, remote)

    async def taken(remote: Remote) -> None:
        found = await sync(ours, remote)
        assert (found.roots, found.blocks) == (1, 1)

    world.serve(None, refused, with_root(forged))
    assert len(ours.roots) == 1 and ours.tip().height == 0
    world.serve(None, taken, with_root(second))
    assert ours.roots == [world.net.root_data, second] and ours.tip().hash == theirs.tip().hash


def test_a_node_keeps_level_when_a_peer_is_gone_and_when_it_is_back(world: World) -> None:
    """One event when a peer goes, one when it is back, and what it has made meanwhile comes with its logs."""
    ours, theirs = world.store(), world.store()
    world.grow(theirs, 2, 1)
    theirs.add_log(world.net.log(9))
    port = unused_port()
    seen: list[tuple[str, dict[str, Any]]] = []

    async def use(remote: Remote) -> None:
        said = asyncio.Event()

        def hear(kind: str, **fields: Any) -> None:
            seen.append((kind, fields))
            said.set()

        async def until(kind: str) -> dict[str, Any]:
            while True:
                for one, fields in seen:
                    if one == kind:
                        return fields
                said.clear()
                await asyncio.wait_for(said.wait(), 20)

        ledger = Ledger(ours, hear)
        level = Level(ledger, [f"http://127.0.0.1:{port}"], 0.05, hear)
        ledger.start()
        level.start()
        try:
            assert "Cannot connect" in (await until("unreached"))["why"]
            app = web.Application()
            app.add_routes(routes(theirs))
            async with TestServer(app, port=port):
                assert (await until("synced")) == {
                    "source": f"http://127.0.0.1:{port}", "blocks": 2, "logs": 1, "height": 2,
                }  # fmt: skip
                await until("reached")
        finally:
            await level.stop()
            await ledger.stop()

    world.serve(theirs, use)
    assert [kind for kind, _ in seen].count("unreached") == 1
    assert ours.tip() == theirs.tip() and ours.pool() == [world.net.log(9)]
