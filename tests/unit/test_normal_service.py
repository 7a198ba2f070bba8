"""A normal node's process in this one: what its port and the local network bring reaches its chain, or is refused."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_world import MODEL, TIMEOUT_S, Answer, make_network, wait_until

from fwchain.chainstore import Miner, Store, telling
from fwchain.demo.processes import free_ports
from fwchain.events import Log, read
from fwchain.network import Network
from fwchain.normal import folder as folders
from fwchain.normal import service as services
from fwchain.normal.folder import Plan
from fwchain.normal.interfaces import LOOPBACK, netmask
from fwchain.normal.service import Normal
from fwnode import crypto
from fwnode.compat import run
from fwnode.net import NetError
from fwnode.net.lan import Lan
from fwnode.roles.identity import Identity
from fwnode.roles.log import verification_log
from fwnode.trust import cert, root
from fwnode.wire.bencode import decode

IP = "127.66.1.1"
BOARD = "127.66.1.2"


class Place:
    """A running normal node of a network whose verification node is not there."""

    def __init__(self, network: Network, normal: Normal, loop: asyncio.AbstractEventLoop) -> None:
        self.network = network
        self.normal = normal
        self.loop = loop
        self.port = normal.folder.node_config.port

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection(IP, self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def post(self, body: bytes) -> Answer:
        return self.ask("POST", "/fwchain", body)

    def do(self, work: Any) -> Any:
        """Run a coroutine on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(TIMEOUT_S)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in read(self.network.folder.parent / "node" / "events.jsonl") if event["event"] == kind]

    @property
    def dropped(self) -> dict[str, int]:
        found: dict[str, int] = self.normal.ledger.counters.by_reason
        return found

    def identity(self, port: int = 4000) -> Identity:
        """A certified board."""
        private = crypto.generate_key()
        public = crypto.public_key(private)
        certificate = run(cert.issue(self.network.private("enrolment"), MODEL, public, int(time.time()) + 1000))
        return Identity(private, public, ("cert", certificate), MODEL, self.network.genesis.net, port)

    def log(self, me: Identity | None = None, r: int = 5, outcome: str = "current") -> bytes:
        now = int(time.time())
        return bytes(run(verification_log(me or self.identity(), r, bytes(20), now, outcome, "1.0.0", bytes(32))))

    def broadcast(self, *data: bytes) -> None:
        """Say it on the local network, from a board's address."""

        async def say() -> None:
            lan = self.network.config["lan"]
            voice = Lan(lan["group"], lan["port"], BOARD)
            for one in data:
                await voice.broadcast(one)
            voice.close()

        asyncio.run(say())


@contextlib.contextmanager
def running(tmp_path: Path, **settings: dict[str, Any]) -> Iterator[Place]:
    network = make_network(tmp_path / "net")
    values = {"normal": {"retry_s": 3600.0}, "node": {"pool_s": 3600.0}, **settings}
    plan = Plan(address=IP, port=free_ports(1, IP), settings=values)
    folder = folders.create(tmp_path / "node", network, plan)
    loop = asyncio.new_event_loop()

    async def start() -> Normal:
        normal = Normal(folder, Log(folder.network.events))
        await normal.start()
        return normal

    normal = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Place(network, normal, loop)
    finally:
        asyncio.run_coroutine_threadsafe(normal.stop(), loop).result(TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_S)
        loop.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with running(tmp_path) as place:
        yield place


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Iterator[Miner]:
    """Another full node's chain and its maker of blocks, a normal node's."""
    network = place.network
    store = Store(tmp_path / "other.db", network.genesis.data, [one.data for one in network.roots])
    me = place.identity()
    miner = Miner(store, me.private, credential=me.credential)
    miner.me = me  # type: ignore[attr-defined]
    yield miner
    store.close()


def block_of(miner: Miner, *logs: bytes) -> bytes:
    for log in logs:
        miner.store.add_log(log)
    assert miner.mine_once() is not None
    data = miner.store.block(miner.store.tip().hash)
    assert data is not None
    return data


def tell(miner: Miner, block: bytes, whole: bool = True, port: int = 4000) -> bytes:
    me = miner.me  # type: ignore[attr-defined]
    me = Identity(me.private, me.public, me.credential, MODEL, me.net, port)
    return telling.tell(me, block, whole)


def test_logs_and_blocks_by_http(place: Place, other: Miner) -> None:
    log = place.log()
    assert place.post(log).status == 200 and place.normal.chain.pool() == [log]
    second = place.log(r=6)
    block = block_of(other, log, second)
    assert place.post(tell(other, block)).status == 200
    assert place.normal.chain.pool() == [] and place.normal.chain.tip() == other.store.tip()
    assert place.events("block")[0]["source"] == "127.0.0.1"
    assert place.ask("GET", "/chain/block/1").body == block
    orphan = [block_of(other, place.log(r=7)), block_of(other, place.log(r=8))][1]
    assert place.post(tell(other, orphan)).status == 403
    assert place.dropped == {"orphan": 1}


def test_what_is_no_message_or_breaks_a_rule(place: Place, other: Miner) -> None:
    assert place.post(b"nothing").status == 400
    assert place.post(bytes(20_000)).status == 413
    stranger = crypto.generate_key()
    public = crypto.public_key(stranger)
    forged = Identity(stranger, public, ("pu", public), MODEL, place.network.genesis.net, 4000)
    assert place.post(place.log(forged)).status == 403
    assert place.post(place.log(outcome="answered")).status == 200  # for fellows; in no block
    assert place.ask("GET", "/fwchain").status == 405 and place.ask("GET", "/").status == 404
    assert place.normal.chain.pool() == []
    assert place.dropped == {"malformed": 1, "certificate": 1}
    assert place.normal.node.dropped == {"unasked": 1}


def test_the_local_network_brings_logs_and_blocks(place: Place, other: Miner) -> None:
    log = place.log()
    place.broadcast(log, b"noise", place.log(outcome="answered"))
    wait_until(lambda: place.normal.chain.pool() == [log], "the log in the pool")
    wait_until(lambda: place.normal.node.dropped.get("malformed") == 1, "the noise to be counted")
    with running_source(other) as port:
        block_of(other, log)
        block_of(other, place.log(r=9))
        tip = other.store.block(2)
        assert tip is not None
        # the parent is unknown here: the node that announced is asked for all that is missing
        place.broadcast(tell(other, tip, whole=False, port=port))
        wait_until(lambda: place.normal.chain.tip() == other.store.tip(), "the announced chain")
    assert wait_until(lambda: place.events("synced"), "its event")[-1]["blocks"] == 2
    assert place.normal.chain.pool() == []


@contextlib.contextmanager
def running_source(miner: Miner) -> Iterator[int]:
    """The other node's HTTP face, at the board's address."""
    from aiohttp import web

    from fwchain.chainstore.web import routes

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.add_routes(routes(miner.store))
    runner = web.AppRunner(app, access_log=None)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, BOARD, 0).start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_S)
        loop.close()


def test_its_own_logs_and_blocks_reach_its_chain(place: Place) -> None:
    """Multicast comes back to its sender, who does not listen to himself: a log is kept when it is sent."""
    log = place.log()
    place.do(place.normal.node.lan.broadcast(log))
    assert place.normal.chain.pool() == [log]
    heard: list[bytes] = []

    async def listen() -> None:
        lan = place.network.config["lan"]
        ear = Lan(lan["group"], lan["port"], BOARD)
        await asyncio.to_thread(place.normal.miner.flush)
        while not heard or decode(heard[-1])["t"] != b"block":
            heard.append((await asyncio.wait_for(ear.receive(), TIMEOUT_S))[0])
        ear.close()

    asyncio.run(listen())
    tip = place.normal.chain.tip()
    assert decode(heard[-1])["block"] == tip.announcement and tip.counter == 1
    assert place.normal.chain.pool() == []


def test_an_error_among_fellows_ends_neither_the_node_nor_its_own_question(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise AttributeError("a defect")

    door = place.normal.node.broadcasts
    monkeypatch.setattr(door, "_play", fail)
    found = place.do(door.ask((5, b"request")))
    assert not found.answered and place.events("error")[-1]["why"] == "a defect"
    assert not any(task.done() for task in place.normal.node.tasks)


def test_a_newer_trust_root_of_a_check_is_the_chains_too(place: Place) -> None:
    me = place.identity()
    body = decode(place.network.root.data) | {"number": 2, "revoked": [crypto.sha256(me.public)[:20]]}
    del body["signatures"]
    second = run(root.build(body, [place.network.private("root")]))
    place.normal.folder.files.write("root", second)
    assert place.ask("GET", "/root/2").body == second
    assert place.post(place.log(me)).status == 403 and place.dropped == {"revoked": 1}
    forged = run(root.build(body | {"number": 3}, [crypto.generate_key()]))
    place.normal.folder.files.write("root", forged)
    assert place.ask("GET", "/root/3").status == 404 and place.events("error")[-1]["what"] == "roots"


def test_without_multicast_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise NetError("multicast 239.255.70.67:4570: no such device")

    monkeypatch.setattr(services, "HostLan", refuse)
    with running(tmp_path) as place:
        assert place.post(place.log()).status == 200
        assert "cannot join" in place.events("error")[0]["why"]


def test_an_event_log_that_cannot_be_written_stops_nothing(place: Place) -> None:
    path = place.network.folder.parent / "node" / "events.jsonl"
    for _ in range(50):
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # the node said something meanwhile
            path.mkdir()
            break
    assert path.is_dir()
    place.normal._say("anything")
    assert place.normal.voice.unwritten >= 1 and place.post(place.log()).status == 200


def test_who_is_near_is_told_by_the_interface() -> None:
    assert netmask("127.9.9.9") == LOOPBACK
    assert netmask("192.0.2.1").count(".") == 3
