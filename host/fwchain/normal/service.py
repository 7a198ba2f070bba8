"""A whole normal node in one process: fwnode's node, the chain and its maker of blocks, and one port for all of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from fwchain import tasks
from fwchain.chainstore import Added, Miner, Orphan, Store, StoreError
from fwchain.chainstore.giving import route as block_route
from fwchain.chainstore.hearing import KIND, Hearing, check_block, is_log
from fwchain.chainstore.ledger import Ledger
from fwchain.chainstore.level import Level
from fwchain.chainstore.telling import tell
from fwchain.chainstore.web import routes as chain_routes
from fwchain.errors import SetupError
from fwchain.events import Log
from fwchain.normal.folder import Folder
from fwchain.normal.interfaces import netmask
from fwchain.normal.node import HostLan, HostNode
from fwchain.normal.port import Port
from fwchain.verification import pages
from fwnode import crypto
from fwnode.app import Application
from fwnode.clock import Clock
from fwnode.compat import drive
from fwnode.errors import FwError
from fwnode.net import NetError
from fwnode.net.http import post
from fwnode.net.messages import PATH
from fwnode.roles.identity import Identity
from fwnode.wire import WireError, message
from fwnode.wire.fields import MAX_MESSAGE


class Voice:
    """The application of a node that has none: what the node does goes into the event log."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.unwritten = 0  # events that the disk did not take

    def on_state(self, state: str, facts: dict[str, Any]) -> None:
        """Tell of it; a log that cannot be written stops nothing else."""
        try:
            self.log.emit(state, **facts)
        except OSError:
            self.unwritten += 1


class Normal:
    """The node of one folder; `start`, wait on `run`, `stop`, all on one event loop."""

    def __init__(self, folder: Folder, log: Log) -> None:
        """Open the chain; raises StoreError or another FwError."""
        self.folder = folder
        self.config = folder.config["node"]
        self.network = folder.network
        self.voice = Voice(log)
        self.hooks = Application(self.voice, False)
        self.chain = Store(
            folder.network.database, folder.network.genesis.data, [root.data for root in folder.network.roots]
        )
        self.ledger = Ledger(self.chain, self._say, self._on_roots)
        self.urls = list(dict.fromkeys([*folder.config.urls("normal.nodes"), *folder.config.urls("node.peers")]))
        self.level = Level(self.ledger, self.urls, self.config["sync_s"], self._say)
        private: bytes = folder.keys.get("sk")
        self.public = crypto.public_key(private)
        self.miner = Miner(
            self.chain,
            private,
            self.config["pool_s"],
            self._on_block,
            lambda error: self._say("error", what="miner", why=str(error)),
            credential=folder.credential,
        )
        self.ledger.on_logs = self.miner.notify
        self.ledger.on_orphan = self.level.wake
        folder.files.on_root = self._on_root
        self.ledger.on_own = lambda data: self._begin(self._spread(data))
        self.hearing = Hearing(self.ledger, folder.network.genesis)
        clock = Clock(folder.keys)
        self.node = HostNode(
            folder.node_config, self.hooks, folder.held, clock, self.ledger, self.hearing, self._open_port
        )
        self.node.ip = folder.config.address
        self.node.mask = netmask(self.node.ip)
        self.node.local = self.node.ip if self.node.ip.startswith("127.") else None
        port = folder.node_config.port
        self.me = Identity(private, self.public, folder.credential, folder.node_config.model, self.chain.net, port)
        self._runner = web.AppRunner(self._app(), access_log=None)
        self._port: Port | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._life: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()

    # life

    async def start(self) -> None:
        """Check what is held, listen, and begin to take part; raises SetupError when the port is taken."""
        self._loop = asyncio.get_running_loop()
        await drive(self.folder.held.check())
        await self._runner.setup()
        self._join()
        self._life = asyncio.create_task(self.node.run())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._life, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._life.done():
            await self.stop()
            self._life.result()
        self.ledger.start()
        self.level.start()
        self.miner.start()

    async def run(self) -> None:
        """Until the node ends, which it does by an error alone."""
        assert self._life is not None
        await asyncio.shield(self._life)

    async def stop(self) -> None:
        """End everything that `start` began."""
        await asyncio.to_thread(self.miner.stop)
        await tasks.end([*self._tasks, *([self._life] if self._life else [])])
        await self.level.stop()
        await self.ledger.stop()
        await self.node.end()
        if self._port is not None:
            await self._port.stop()
        await self._runner.cleanup()
        self.chain.close()

    def _join(self) -> None:
        config = self.folder.node_config
        if not config.group:
            return
        try:
            self.node.lan = HostLan(config.group, config.group_port, self.node.local, self.hearing)
        except (NetError, OSError) as error:
            self._say("error", what="lan", why=f"cannot join the multicast group, HTTP goes on: {error}")

    async def _open_port(self) -> None:
        assert self._runner.server is not None
        self._port = Port(self._runner.server, self.node.sharing.on_peer)
        try:
            self._port.start(self.config["listen"], self.config["port"])
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                number = self.config["port"]
                raise SetupError(f"a port is taken: {number}; change port of [node] in fwchain.toml") from None
            raise SetupError(f"cannot listen on {self.config['listen']}: {error.strerror}") from None
        self._ready.set()

    # what the parts tell each other

    def _say(self, kind: str, **fields: Any) -> None:
        self.voice.on_state(kind, fields)

    def _on_block(self, added: Added, data: bytes) -> None:
        """A block was made here, in the miner's thread."""
        self.ledger.tell_block(added, data)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._begin, self._tell_block(data))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_block(self, block: bytes) -> None:
        """Tell of a block of this node: by its head on the local network, then whole."""
        if self.node.lan is not None:
            with contextlib.suppress(NetError):
                await self.node.lan.broadcast(tell(self.me, block, whole=False))
        await self._spread(block)

    async def _spread(self, block: bytes) -> None:
        """Give a block of this node to the nodes that it knows."""
        told = tell(self.me, block, whole=True)
        for url in self.urls:
            with contextlib.suppress(NetError):  # it is away, or has it already: the next sync brings it
                await post(url + PATH, told, MAX_MESSAGE, self.node.local)

    def _on_roots(self, roots: list[bytes]) -> None:
        """Peers had newer trust roots, each signed by the one before."""
        try:
            self.network.add_roots(roots)
            self.folder.files.write("root", self.network.root.data)
        except (FwError, OSError) as error:
            self._say("error", what="roots", why=str(error))
            return
        self._say("root", number=self.network.root.number)

    def _on_root(self, data: bytes) -> None:
        """A check took the next trust root: the chain judges by it, too."""
        if data in self.chain.roots:
            return
        try:
            self.chain.set_roots([*self.chain.roots, data])
            self.network.add_roots(self.chain.roots)
        except (FwError, OSError) as error:
            self._say("error", what="roots", why=str(error))

    # the HTTP face

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_MESSAGE)
        app.router.add_post(PATH, self._message)
        app.router.add_get("/root/{number}", pages.root_handler(self.network.folder / "roots"))
        app.add_routes([*chain_routes(self.chain), block_route(self.ledger)])
        return app

    async def _message(self, request: web.Request) -> web.Response:
        """Whole blocks, and logs that may stand in one, are the chain's; all else is the node's."""
        data = await request.read()
        ip = request.remote or ""
        try:
            told = message.parse(data)
            if message.kind_of(told) == KIND:
                check_block(told, self.network.genesis, int(time.time()), whole=True)
                await self.ledger.keep_block(told["block"], ip)
                return web.Response()
            if is_log(data, self.chain.net):
                await self.ledger.keep_log(data)
                return web.Response()
        except WireError as error:
            self.ledger.counters.count("malformed")
            return web.Response(status=400, text=f"{error}\n")
        except StoreError:
            return web.Response(status=503, text="the node's store fails now: try again later\n")
        except FwError as error:
            if isinstance(error, Orphan):
                self.ledger.counters.count("orphan")
            else:
                self.ledger.counters.drop(error)
            return web.Response(status=403)
        return web.Response(body=await self.node.on_message(data, ip))
