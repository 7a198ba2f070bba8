"""What a verification node's chain takes from others: blocks by HTTP, logs and announcements of the local network."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from service_world import Site, make_network, serving, wait_until

from fwchain.chainstore import Miner, Store
from fwchain.chainstore.hearing import Rate
from fwchain.chainstore.telling import tell
from fwchain.network import load
from fwchain.verification import lan as ears
from fwnode import crypto
from fwnode.chain.block import Block, make, verification_field
from fwnode.chain.log import Log
from fwnode.compat import run
from fwnode.net import NetError
from fwnode.net.lan import Lan
from fwnode.roles.identity import Identity
from fwnode.trust import root
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode

BOARD = "127.0.0.7"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(make_network(tmp_path / "net")) as site:
        yield site


class Normal:
    """A normal node of the site's network, with a chain of its own."""

    def __init__(self, site: Site, path: Path) -> None:
        self.site = site
        self.me: Identity = site.identity()
        net = site.net
        self.store = Store(path, net.genesis.data, [root.data for root in net.roots])
        self.made: list[bytes] = []
        self.miner = Miner(
            self.store, self.me.private, on_block=lambda _, data: self.made.append(data), credential=self.me.credential
        )

    def block(self, r: int = 5) -> bytes:
        """One more block, of one log."""
        self.store.add_log(self.site.log(self.me, r))
        assert self.miner.mine_once() is not None
        return self.made[-1]

    def tell(self, block: bytes, private: bytes = b"", whole: bool = True, port: int = 4000) -> bytes:
        """The message about it."""
        private = private or self.me.private
        me = Identity(private, crypto.public_key(private), ("pu", b""), "", self.store.net, port)
        return tell(me, block, whole)


@pytest.fixture
def normal(site: Site, tmp_path: Path) -> Iterator[Normal]:
    node = Normal(site, tmp_path / "normal.db")
    yield node
    node.store.close()


def test_a_normal_nodes_block_is_taken_by_http(site: Site, normal: Normal) -> None:
    for height, r in ((1, 5), (2, 6)):
        block = normal.block(r)
        assert site.post(normal.tell(block)).status == 200
        tip = site.service.chain.tip()
        assert (tip.height, tip.hash) == (height, Block(block, site.net.genesis.net).hash)
    assert tip.counter == 2  # paper 3.2: two successful logs in normal nodes' blocks
    assert [event["source"] for event in site.events("block")] == ["127.0.0.1"] * 2
    assert site.post(normal.tell(block)).status == 200  # known already
    assert len(site.events("block")) == 2 and site.dropped() == {}


def test_an_orphan_is_counted_refused_and_asks_the_peers(site: Site, normal: Normal) -> None:
    asked = threading.Event()
    site.service.ledger.on_orphan = asked.set
    normal.block(5)
    assert site.post(normal.tell(normal.block(6))).status == 403
    assert site.dropped() == {"orphan": 1} and asked.is_set() and site.service.chain.tip().height == 0


def test_blocks_that_break_a_rule_are_refused_and_counted(site: Site, normal: Normal) -> None:
    block = normal.block()
    stranger = crypto.generate_key()
    body = decode(block)
    told = decode(normal.tell(block))
    easy = body["head"][:80] + (1).to_bytes(4, "little") + body["head"][84:]
    late = {key: value for key, value in told.items() if key != "sig"} | {"ts": told["ts"] - 1000}
    cases: dict[str, bytes] = {
        "id": normal.tell(block, stranger),
        "signature": encode({**told, "sig": bytes(63) + b"\x01"}),
        "block": normal.tell(encode({**body, "sig": bytes(64)})),
        "difficulty": normal.tell(encode({**body, "head": easy})),
        "root": normal.tell(encode({**body, "f": {**body["f"], "c": 7}})),
        "malformed": normal.tell(block).replace(b"5:block", b"5:blocc", 1),
        "time": run(message.sign(normal.me.private, late)),
    }
    for reason, data in cases.items():
        before = site.dropped().get(reason, 0)
        assert site.post(data).status in (400, 403), reason
        assert site.dropped().get(reason, 0) == before + 1, (reason, site.dropped())
    assert site.service.chain.tip().height == 0
    assert site.post(normal.tell(block)).status == 200


def test_a_signer_without_certificate_makes_no_block(site: Site, normal: Normal) -> None:
    private = crypto.generate_key()
    public = crypto.public_key(private)
    genesis, link = site.net.genesis, normal.store.link()
    field = verification_field(public, False, link, [Log(site.log(), genesis.net)])
    block = run(make(private, {"pu": public}, genesis, link, int(time.time()), 1, field))
    assert site.post(normal.tell(block, private)).status == 403
    assert site.dropped() == {"block": 1} and "no certificate" in site.events("dropped")[0]["why"]


class Board(HTTPServer):
    """Gives the block of its tip, as a board that mined it does."""

    def __init__(self, block: bytes, net: bytes) -> None:
        self.asked: list[str] = []
        path = f"/chain/block/{Block(block, net).hash.hex()}"
        board = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                board.asked.append(self.path)
                body = block if self.path == path else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__((BOARD, 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


def broadcast(site: Site, *data: bytes) -> None:
    """Say it on the local network, from the board's address."""

    async def say() -> None:
        lan = site.net.config["lan"]
        voice = Lan(lan["group"], lan["port"], BOARD)
        for one in data:
            await voice.broadcast(one)
        voice.close()

    asyncio.run(say())


def test_logs_of_the_local_network_reach_the_chain(site: Site) -> None:
    broadcast(site, site.log(), b"noise", site.log().replace(b"7:current", b"8:answered"))
    tip = wait_until(lambda: site.service.chain.tip().height, "the log's block")
    assert tip == 1 and site.dropped() == {"malformed": 1}


def test_an_announced_block_is_fetched_from_where_it_was_announced(site: Site, normal: Normal) -> None:
    block = normal.block()
    board = Board(block, site.net.genesis.net)
    try:
        broadcast(site, normal.tell(block, whole=False, port=board.server_address[1]))
        wait_until(lambda: site.service.chain.tip().height == 1, "the board's block")
        assert board.asked == [f"/chain/block/{site.service.chain.tip().hash.hex()}"]
        event = wait_until(lambda: site.events("synced"), "its event")[-1]
        assert event["source"] == f"http://{BOARD}:{board.server_address[1]}" and event["blocks"] == 1
    finally:
        board.close()


def test_an_address_is_asked_once_in_its_time_and_never_below_port_1024(site: Site, normal: Normal) -> None:
    first = normal.block(5)
    second = normal.block(6)
    board = Board(first, site.net.genesis.net)
    site.service.ledger.pause_s = 3600.0
    try:
        # nobody can sign such a port: it is malformed before it is looked at
        low = message.parse(normal.tell(first, whole=False)) | {"port": 80}
        broadcast(site, encode(low))
        wait_until(lambda: site.dropped().get("malformed") == 1, "an announcement of a low port")
        broadcast(site, normal.tell(first, whole=False, port=board.server_address[1]))
        wait_until(lambda: site.service.chain.tip().height == 1, "the first block")
        broadcast(site, normal.tell(second, whole=False, port=board.server_address[1]), b"end")
        wait_until(lambda: site.dropped().get("malformed") == 2, "the announcement to be heard")
        assert len(board.asked) == 1 and BOARD in site.service.ledger._wanted
    finally:
        board.close()


def test_own_blocks_are_announced(site: Site) -> None:
    heard: list[bytes] = []

    async def listen() -> None:
        lan = site.net.config["lan"]
        ear = Lan(lan["group"], lan["port"], BOARD)
        await asyncio.to_thread(site.post, site.log())
        while not heard or b"5:block" not in heard[-1]:
            heard.append((await asyncio.wait_for(ear.receive(), 20))[0])
        ear.close()

    asyncio.run(listen())
    told = message.parse(heard[-1])
    assert told["block"] == site.service.chain.tip().announcement and told["port"] == site.net.config["node"]["port"]
    assert len(heard[-1]) < 1200


@pytest.mark.parametrize("join", [True, False])
def test_without_the_group_it_serves_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, join: bool) -> None:
    def refuse(*_: Any) -> None:
        raise NetError("multicast 239.255.70.67:4570: no such device")

    monkeypatch.setattr(ears, "Lan", refuse)
    net = make_network(tmp_path / "net")
    net.config["lan"]["join"] = join
    with serving(net) as site:
        assert site.post(site.log()).status == 200
        errors = site.events("error")
        assert [("cannot join" in event["why"], event["what"]) for event in errors] == ([(True, "lan")] if join else [])
        wait_until(lambda: site.service.chain.tip().height, "a block, told to nobody")


def test_newer_trust_roots_of_peers_are_kept_and_judged_by(site: Site) -> None:
    """Peers had root 2, signed by root 1's keys: it is written, served, and who it revokes is refused."""
    me = site.identity()
    owner = site.net.private("root")
    body = decode(site.net.root.data) | {"number": 2, "revoked": [crypto.sha256(crypto.public_key(me.private))[:20]]}
    del body["signatures"]
    second = run(root.build(body, [owner]))
    site.service.chain.set_roots([site.net.root.data, second])
    site.service._on_roots(site.service.chain.roots)
    assert wait_until(lambda: site.events("root"), "root 2")[-1]["number"] == 2
    assert site.get("/root/2").body == second
    assert site.post(site.log(me)).status == 403
    assert site.post(site.log()).status == 200
    assert load(site.net.folder).root.number == 2


def test_an_address_that_floods_is_held_and_others_are_not() -> None:
    now = [0.0]
    clock: Callable[[], float] = lambda: now[0]  # noqa: E731
    rate = Rate(3, 10.0, clock)
    assert [rate.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert rate.take("b")
    now[0] = 0.1
    assert rate.take("a") and not rate.take("a")
    for n in range(5000):
        rate.take(str(n))
    assert len(rate._rows) <= 1025


def test_a_board_gives_its_block_as_it_is(site: Site, normal: Normal) -> None:
    """POST /chain/block: a board has no room to wrap a block into a message."""
    url = site.net.config.url + "/chain/block"
    first, second = normal.block(5), normal.block(6)
    answers = [given(url, data) for data in (second, first, first, second, first[:-1], b"x" * 20_000)]
    assert answers == [409, 200, 200, 200, 400, 413]
    assert site.service.chain.tip().height == 2
    body = decode(first)
    assert (
        given(url, encode({**body, "sig": bytes(63) + b"\x01"})) == 200
    )  # known by its header, whatever comes with it
    easy = body["head"][:80] + (1).to_bytes(4, "little") + body["head"][84:]
    assert given(url, encode({**body, "head": easy})) == 403


def given(url: str, data: bytes) -> int:
    request = urllib.request.Request(url, data, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
