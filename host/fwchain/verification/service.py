"""A whole verification node in one process: exchange, tracker, seed, chain, publishing and pages on one event loop."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from fwchain.chainstore import Added, Miner, Orphan, Store, StoreError
from fwchain.chainstore.giving import route as block_route
from fwchain.chainstore.hearing import Hearing, check_block
from fwchain.chainstore.ledger import Ledger
from fwchain.chainstore.level import Level
from fwchain.chainstore.schema import open_engine
from fwchain.chainstore.telling import tell
from fwchain.chainstore.web import routes as chain_routes
from fwchain.config import FILE
from fwchain.errors import SetupError
from fwchain.events import Log
from fwchain.network import Network
from fwchain.seed import PortTaken, Seed, web_seed_routes
from fwchain.tracker import Tracker
from fwchain.verification import oversight, pages, rootwatch, trace
from fwchain.verification.exchange import Exchange
from fwchain.verification.lan import Ear
from fwchain.verification.members import Terms
from fwchain.verification.publish import Publisher
from fwchain.verification.releases import ReleaseStore
from fwchain.verification.tickets import DailyTickets
from fwnode.chain.record import release_record
from fwnode.errors import FwError
from fwnode.net.messages import PATH
from fwnode.roles.identity import Identity
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release
from fwnode.wire import WireError
from fwnode.wire.fields import MAX_MESSAGE

PEERS_IN_LIST = 12
GONE = "the node's store fails now: try again later\n"
Tracer = Callable[[str], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _store_gone(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except StoreError:
        return web.Response(status=503, text=GONE, headers={"Retry-After": "5"})


class Service:
    """One network folder's verification node; `start` and `stop` it on an event loop."""

    def __init__(self, network: Network, log: Log, tracer: Tracer | None = None) -> None:
        """Open the stores; raises SetupError or StoreError. `tracer` gets each message as readable text."""
        self.network = network
        self.log = log
        self.tracer = tracer
        self.private = network.private("node")
        self.node = network.config["node"]
        roots = [root.data for root in network.roots]
        self.chain = Store(network.database, network.genesis.data, roots)
        self.releases = ReleaseStore(open_engine(network.database), network.releases)
        self.ledger = Ledger(self.chain, self._on_event, self._on_roots)
        self.level = Level(self.ledger, network.config.urls("node.peers"), self.node["sync_s"], self._on_event)
        self.oversight = oversight.Oversight(self.releases, self.private, lambda: network.root, self._on_event)
        self.miner = Miner(
            self.chain,
            self.private,
            self.node["block_s"],
            self._on_block,
            self._on_error,
            c2_s=self.node["pool_s"],
        )
        self.ledger.on_logs = self.miner.notify
        self.ledger.on_orphan = self.level.wake
        self.tracker = Tracker(state=network.folder / "tracker.state")
        try:
            self.seed = Seed(
                self.node["listen"],
                self.node["seed_port"],
                self.node["seed_upload"],
                dht=bool(self.node["seed_dht"]),
                local_discovery=bool(self.node["seed_discovery"]),
            )
        except PortTaken:
            raise self._port_taken("seed_port") from None
        self.exchange = Exchange(
            self.private,
            network.root,
            network.genesis.net,
            "certified" if network.genesis.certified else "open",
            DailyTickets(self.private),
            self.releases,
            self._peers,
            self._on_log,
            self._on_event,
            on_block=self._on_told,
            terms=Terms(network.config["certificate"]["days"], network.config["certificate"]["grace_days"]),
            on_offer=self._on_offer,
            recalls=self.oversight.waves.told,
        )
        public = self.exchange.public
        self.me = Identity(self.private, public, ("pu", public), "", network.genesis.net, self.node["port"])
        self.ear = Ear(network, Hearing(self.ledger, network.genesis), self._on_event)
        self._block: bytes | None = None  # the block of the message that is being answered
        self.exchange.roots = list(network.roots)
        self.started = time.time()
        self.answered = 0
        self._taken: list[tuple[bytes, dict[str, Any]]] = []  # logs of the message that is being answered
        self._offers: list[tuple[bytes, bytes, bytes]] = []  # releases that the answer offers, to whom
        self._watching: asyncio.Task[None] | None = None
        self.unwritten = 0  # events and traces that the disk did not take
        self._seed_ip = ""  # L has IPv4 addresses alone
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []

    # what the parts tell each other

    def _peers(self, release: Release) -> list[tuple[str, int, bool]]:
        seed = [(self._seed_ip, self.node["seed_port"], True)] if self._seed_ip else []
        return [*seed, *self.tracker.peers(release.info_hash, PEERS_IN_LIST)]

    def _on_event(self, kind: str, **fields: Any) -> None:
        """Tell of it; a log that cannot be written stops nothing else."""
        try:
            self.log.emit(kind, **fields)
        except OSError:
            self.unwritten += 1

    def _on_log(self, data: bytes, parsed: dict[str, Any]) -> None:
        self._taken.append((data, parsed))

    def _on_told(self, data: bytes, told: dict[str, Any], ip: str) -> None:
        """The message `block` with a whole block in it."""
        check_block(told, self.network.genesis, int(time.time()), whole=True)
        self._block = told["block"]

    def _on_offer(self, release: Release, key: bytes, request: bytes) -> None:
        self._offers.append((release.verifier, key, request))

    async def _keep(self, logs: list[tuple[bytes, dict[str, Any]]], block: bytes | None, ip: str) -> None:
        """Store what came with a message, which waits for the disk."""
        kind = "log"
        try:
            for log, parsed in logs:
                await self.ledger.keep_log(log)
                await asyncio.to_thread(self.oversight.report, parsed)
            if block is not None:
                kind = "block"
                await self.ledger.keep_block(block, ip)
        except StoreError:
            raise
        except Orphan:
            self.exchange.counters.count("orphan")
            raise
        except FwError:
            self.exchange.counters.count(kind)
            raise

    def _on_block(self, added: Added, data: bytes) -> None:
        """A block was made here, in the miner's thread."""
        self.ledger.tell_block(added, data)
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._tell_block(data), self._loop)

    async def _tell_block(self, data: bytes) -> None:
        await self.ear.tell(tell(self.me, data, whole=False))

    def _on_roots(self, roots: list[bytes]) -> None:
        """Peers had newer trust roots, each signed by the one before: keep them; `rootwatch` takes them up."""
        try:
            self.network.add_roots(roots)
        except OSError as error:
            self._on_event("error", what="roots", why=str(error))

    def _on_error(self, error: Exception) -> None:
        self._on_event("error", what="miner", why=str(error))

    async def _announce(self, release: Release) -> None:
        await asyncio.to_thread(self.chain.announce, release.metainfo)

    async def _withdraw(self, release: Release) -> None:
        await asyncio.to_thread(self.chain.drop_release, release_record(release.metainfo))

    async def _on_release(self, release: Release) -> None:
        self.miner.notify()
        self.oversight.look()
        self._share(release)
        self._on_event("published", model=release.model, version=release.version, info_hash=release.info_hash.hex())

    def _share(self, release: Release) -> None:
        self.tracker.allow(release.info_hash)
        self.seed.add(release.metainfo, self.releases.save_path(release))

    # life

    async def start(self) -> None:
        """Listen on every port and take up what is published; raises SetupError when a port is taken."""
        self._loop = asyncio.get_running_loop()
        self._seed_ip = await self._ipv4(self._loop, self.network.config.address)
        app = self._app()
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        publisher = Publisher(
            self.releases,
            lambda: self.network.root,
            self._on_release,
            announce=self._announce,
            withdraw=self._withdraw,
            on_recall=self._on_recall,
        )
        publishing = web.AppRunner(publisher.app(), access_log=None)
        await publishing.setup()
        self._runners.append(publishing)
        opening = "port"
        try:
            for release in self.releases.all():
                self._share(release)
            assert runner.server is not None
            await self.tracker.start(self.node["listen"], self.node["port"], fallback=runner.server)
            opening = "publish_port"
            await self.open_publishing(publishing)
        except OSError as error:
            await self.stop()
            if error.errno == errno.EADDRINUSE:
                raise self._port_taken(opening) from None
            raise
        self.ledger.start()
        self.level.start()
        self.ear.start()
        self.miner.start()
        self._watching = asyncio.create_task(rootwatch.watch(self, publishing))
        self.oversight.look_at_root()
        self._on_event("serving", url=self.network.config.url, releases=len(self.releases.all()))

    async def _ipv4(self, loop: asyncio.AbstractEventLoop, host: str) -> str:
        """The IPv4 address of `host`; empty, and told, where it has none: boards then use tracker and web seed."""
        try:
            found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except OSError as error:
            self._on_event("error", what="address", why=f"{host} has no IPv4 address: {error.strerror or error}")
            return ""
        return str(found[0][4][0])

    def _port_taken(self, key: str) -> SetupError:
        place = self.network.folder / FILE
        return SetupError(
            f"a port is taken: {self.node[key]}; another `fwchain serve` or program has it: change {key} of [node]"
            f" in {place}"
        )

    async def stop(self) -> None:
        """End everything that `start` began."""
        if self._watching:
            self._watching.cancel()
        await asyncio.to_thread(self.miner.stop)
        await self.ear.stop()
        await self.level.stop()
        await self.ledger.stop()
        await self.tracker.stop()
        for runner in self._runners:
            await runner.cleanup()
        self.seed.stop()
        self.chain.close()
        self.releases.engine.dispose()

    async def open_publishing(self, runner: web.AppRunner) -> None:
        """Listen on the publishing port, with the certificates that are in the folder now."""
        context = self.network.server_tls()
        for site in list(runner.sites):
            await site.stop()
        await web.TCPSite(runner, self.node["listen"], self.node["publish_port"], ssl_context=context).start()

    async def _on_recall(self, recall: Recall) -> bool:
        return await asyncio.to_thread(self.oversight.recall, recall)

    # the HTTP face

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_MESSAGE, middlewares=[_store_gone])
        app.router.add_post(PATH, self._message)
        app.router.add_get("/root/{number}", pages.root_handler(self.network.folder / "roots"))
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/", self._page)
        app.add_routes([*chain_routes(self.chain), block_route(self.ledger)])
        app.add_routes(web_seed_routes(self.releases))
        return app

    async def _message(self, request: web.Request) -> web.Response:
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self.exchange.counters.count("oversized")
            return web.Response(status=413, text=f"message: more than {MAX_MESSAGE} bytes, the limit\n")
        ip = request.remote or ""
        self._trace(data, f"{ip} ->")
        self._taken, self._offers = [], []
        try:
            reply = self.exchange.handle(data, ip)
            sealed = self.exchange.sealed
            taken, self._taken = self._taken, []
            block, self._block = self._block, None
            offers, self._offers = self._offers, []
            for offer in offers:
                await asyncio.to_thread(self.oversight.waves.offer, *offer)
            await self._keep(taken, block, ip)
        except WireError as error:
            return web.Response(status=400, text=f"{error}\n")
        except StoreError as error:
            self._on_event("error", what="store", why=str(error))
            return web.Response(status=503, text=GONE)
        except FwError as error:
            # dropped: the sender learns nothing that it could not see itself
            self._on_event("dropped", ip=ip, why=str(error))
            return web.Response(status=403)
        self.answered += 1
        if reply:
            self._trace(reply, f"{ip} <-", sealed)
        return web.Response(body=reply)

    def _trace(self, data: bytes, direction: str, sealed: dict[str, Any] | None = None) -> None:
        if self.tracer:
            try:
                self.tracer(trace.text(data, direction, [self.private], sealed))
            except OSError:
                self.unwritten += 1

    async def _metrics(self, request: web.Request) -> web.Response:
        tip = await asyncio.to_thread(self.chain.tip)
        values = {
            "answered_total": self.answered,
            "chain_height": tip.height,
            "releases": len(self.releases.all()),
            "trust_root": self.network.root.number,
            "trust_root_expires": self.network.root.expires,
            **await asyncio.to_thread(self.oversight.metrics),
            "unwritten_total": self.unwritten,
            "uptime_seconds": round(time.time() - self.started, 1),
        }
        dropped = Counter(self.exchange.counters.by_reason) + Counter(self.ledger.counters.by_reason)
        return web.Response(text=pages.metrics(values, dropped))

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=await asyncio.to_thread(self._render), content_type="text/html")

    def _render(self) -> str:
        from fwchain.chainstore.show import summaries

        tip = self.chain.tip()
        releases: list[tuple[object, ...]] = [
            (
                one.model,
                one.version,
                self.oversight.state(one),
                one.platform,
                one.size,
                one.info_hash.hex(),
                len(self._peers(one)),
            )
            for one in reversed(self.releases.all())
        ]
        logs: list[tuple[object, ...]] = [
            (row["height"], log.get("outcome"), log.get("model"), log.get("version"), log.get("request"))
            for row in reversed(list(summaries(self.chain, max(0, tip.height - 20), 21)))
            for log in row.get("logs", ())
        ]
        columns = ("model", "version", "state", "platform", "bytes", "info-hash", "peers")
        body = pages.table("Releases", columns, releases)
        body += pages.table("Verification logs", ("block", "outcome", "model", "version", "request ID"), logs)
        return pages.PAGE.format(title=f"fwchain: {self.network.name}, block {tip.height}", body=body)
