"""A verification node's whole service in this process, on free ports, and what its tests say to it over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fwchain import network, tls
from fwchain.board.image import build_image
from fwchain.config import Config
from fwchain.demo.processes import free_ports
from fwchain.events import Log, Reader
from fwchain.network import Network, Plan
from fwchain.vendor import build
from fwchain.verification.service import Service
from fwnode import crypto
from fwnode.compat import run
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.log import verification_log
from fwnode.roles.request import Request
from fwnode.trust import cert, making
from fwnode.trust.release import SLOT, Release

MODEL = "thermometer"
DAY_S = 86400
TIMEOUT_S = 20


class Answer:
    """What came back."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> str:
        """The publishing port's reason."""
        return str(json.loads(self.body)["error"])


class Clock:
    """The request node's clock."""

    def now(self) -> int:
        return int(time.time())

    def told(self) -> int:
        return self.now()

    def learn(self, seconds: int) -> None:
        pass


class Site:
    """A running service and its network folder."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.traced: list[str] = []
        self.service = Service(net, Log(net.events, process="node"), self.traced.append)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def post(self, body: bytes, path: str = "/fwchain") -> Answer:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.net.config["node"]["port"], timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def dropped(self) -> dict[str, int]:
        """What `/metrics` says was dropped, by reason."""
        lines = [line for line in self.get("/metrics").text.splitlines() if line.startswith("fwchain_dropped_total")]
        return {line.split('"')[1]: int(line.rsplit(" ", 1)[1]) for line in lines}

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of this kind so far."""
        return [event for event in Reader(self.net.events).read() if event["event"] == kind]

    # the vendor

    def release(self, version: str = "1.0.0", image: bytes | None = None, **statement: Any) -> tuple[Release, bytes]:
        """A signed release and its only file."""
        content = image if image is not None else build_image(MODEL, version, {"app.py": b"print('hello')\n"})
        return self.sign(version, content, **statement), content

    def sign(
        self, version: str, content: bytes, signed: bool = True, name: str | None = None, **statement: Any
    ) -> Release:
        """M of `content` as it is: a vendor's tools would refuse some of what is signed here."""
        now = int(time.time())
        values = {"issued": now - 10, "expires": now + DAY_S, "epoch": 0, "trackers": [], "web-seeds": []}
        builder = making.Builder()
        builder.update(content)
        body = {"model": MODEL, "platform": "virtual", "version": version, **values, **statement}
        metainfo = builder.finish(body, [(name or build.default_name(MODEL, version), SLOT, len(content))])
        return Release(run(making.sign(metainfo, self.net.private("vendor"))) if signed else metainfo)

    def publish(self, release: Release, body: bytes) -> Answer:
        """The vendor's upload: M, then `body`."""
        return self.upload(len(release.metainfo).to_bytes(4, "big") + release.metainfo + body)

    def upload(self, body: bytes, path: str = "/releases") -> Answer:
        """Any bytes to the publishing port, as the vendor."""
        folder = self.net.folder / "tls"
        context = tls.client(folder / "vendor.crt", self.net.key_files("vendor")[0], folder / "node.crt")
        port = self.net.config["node"]["publish_port"]
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    # a board

    def identity(self) -> Identity:
        """A certified board of this network."""
        private = crypto.generate_key()
        public = crypto.public_key(private)
        certificate = run(cert.issue(self.net.private("enrolment"), MODEL, public, int(time.time()) + 1000))
        return Identity(private, public, ("cert", certificate), MODEL, self.net.genesis.net, 4000)

    def request(self, me: Identity, version: str, verifier: bytes) -> Request:
        """The request node's state machine for one exchange."""

        def measure() -> Any:
            yield
            return verifier

        r = int.from_bytes(os.urandom(7), "big")
        return Request(me, version, self.net.root, measure, Clock(), Counters(), 1, r)

    def log(self, me: Identity | None = None, r: int = 5) -> bytes:
        """The verification log that ends an exchange of `me`."""
        now = int(time.time())
        return run(
            verification_log(me or self.identity(), r, self.service.exchange.id, now, "current", "1.0.0", bytes(32))
        )


def make_network(folder: Path, **more: Any) -> Network:
    """A network folder whose ports are free ones; `more` for its section [node]."""
    port = free_ports(4)
    node = {"port": port, "publish_port": port + 1, "seed_port": port + 2, "block_s": 0.2, **more}
    config = Config({"node": node, "lan": {"port": port + 3}})
    return network.create(folder, Plan(config=config, difficulty=100))


@contextlib.contextmanager
def serving(net: Network) -> Iterator[Site]:
    """The network's service on an event loop in a thread of its own."""
    site = Site(net)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(site.service.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        asyncio.run_coroutine_threadsafe(site.service.stop(), loop).result(TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_S)
        loop.close()


@contextlib.contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process grows beyond `limit` bytes meanwhile: the write fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def database_gone(site: Site) -> Iterator[None]:
    """The store's file is away and cannot be opened meanwhile."""
    path = Path(site.net.database.removeprefix("sqlite:///"))
    away = path.with_name("away")
    away.mkdir()
    engines = (site.service.chain._engine, site.service.releases.engine)
    for engine in engines:
        engine.dispose()
    moved = [one.rename(away / one.name) for one in path.parent.glob(path.name + "*")]
    path.mkdir()
    for engine in engines:  # the miner may have opened one meanwhile, which the moved file would go on serving
        engine.dispose()
    try:
        yield
    finally:
        path.rmdir()
        for engine in engines:
            engine.dispose()
        for one in moved:
            one.rename(path.parent / one.name)
        away.rmdir()


def wait_until(seen: Any, what: str) -> Any:
    """The first true value of `seen()`."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        value = seen()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {TIMEOUT_S} s")
