"""A small network, a firmware image and a verification node's publishing port, for the vendor's tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from aiohttp import web

from fwchain import network
from fwchain.config import Config
from fwchain.network import Network, Plan
from fwchain.vendor import build
from fwchain.verification.publish import Publisher
from fwchain.verification.releases import ReleaseStore
from fwnode.trust.release import Release

NOW = 1_800_000_000
DAY = 86400


def free_port() -> int:
    """A TCP port that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make_network(folder: Path, **plan: int) -> Network:
    """A network whose publishing port is a free one."""
    config = Config({"node": {"publish_port": free_port()}})
    return network.create(folder, Plan(config=config, **plan))  # type: ignore[arg-type]


def image(version: str = "1.0.0") -> bytes:
    """A small image for the virtual platform."""
    from fwchain.board.image import build_image

    return build_image("thermometer", version, {"app.py": b"print('hello')\n"})


def write_release(folder: Path, version: str = "1.0.0", issued: int = NOW, **more: object) -> Path:
    """An unsigned release of a small image: path of M; the image lies beside it."""
    folder.mkdir(exist_ok=True)
    statement = build.Statement("thermometer", "virtual", version, issued, issued + 365 * DAY, **more)  # type: ignore[arg-type]
    content = image(version)
    name = build.default_name("thermometer", version)
    (folder / name).write_bytes(content)
    path = folder / f"thermometer-{version}.torrent"
    path.write_bytes(build.metainfo(statement, [(name, "slot", content)]))
    return path


@contextlib.contextmanager
def publishing(net: Network, clock: float = NOW + 5) -> Iterator[list[Release]]:
    """The publishing port of the network's verification node; gives the list of what was published."""
    taken: list[Release] = []

    async def on_release(release: Release) -> None:
        taken.append(release)

    engine = sa.create_engine(net.database)
    store = ReleaseStore(engine, net.releases, lambda: clock)
    publisher = Publisher(store, lambda: net.root, on_release, lambda: clock)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(publisher.app())

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", net.config["node"]["publish_port"], ssl_context=net.server_tls()).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        engine.dispose()
