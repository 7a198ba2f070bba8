"""A full node's chain as its other parts use it: what arrives is checked and kept, what is announced is fetched.

An announcement is fetched from nowhere but the address that it came from, at the port that it signed, one at a time and
one connection an address in ten seconds (design: addition 10); what cannot be had there comes with the next sync.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.store import Added, Orphan, Store
from fwchain.chainstore.sync import Remote, Synced, sync, take_announcement
from fwnode.chain import header
from fwnode.chain.head import Head, Link
from fwnode.errors import FwError
from fwnode.roles.identity import Counters
from fwnode.roles.peers import MIN_PORT
from fwnode.trust import Untrusted
from fwnode.wire.bencode import encode

PAUSE_S = 10.0  # between two connections to an address that announced
FETCH_S = 10.0  # for all of one
MAX_WANTED = 64  # addresses whose newest announcement waits
MAX_ASKED = 256

Notice = Callable[..., None]


class Ledger:
    """The chain in `store`, also as the ledger of a fwnode.node.Node.

    `on_event(kind, **fields)` hears what changes, `on_logs()` that the pool grew, `on_orphan()` that a block came whose
    ancestors are missing, `on_roots(list)` of newer trust roots, `on_own(data)` of a block that this node made as n_j.

    What no rule or no room lets in is counted in `counters`. Use it between `start` and `stop`.
    """

    def __init__(self, store: Store, on_event: Notice, on_roots: Notice | None = None) -> None:
        self.store = store
        self.counters = Counters()
        self.on_event = on_event
        self.on_roots = on_roots
        self.on_logs: Notice = lambda: None
        self.on_orphan: Notice = lambda: None
        self.on_own: Notice = lambda data: None
        self.pause_s = PAUSE_S
        self._wanted: dict[str, tuple[int, bytes]] = {}
        self._asked: dict[str, float] = {}
        self._news = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    # life

    def start(self) -> None:
        """Begin to fetch what is announced; needs the running event loop."""
        self._session = aiohttp.ClientSession()
        self._task = asyncio.create_task(self._fetch())

    async def stop(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    # what others and this node itself bring

    def link(self) -> Link:
        """What a block on the tip needs to know."""
        return self.store.link()

    async def keep_log(self, data: bytes) -> bool:
        """Put a signed verification log into the pool; whether it was new. Raises what `Store.add_log` raises."""
        new = await asyncio.to_thread(self.store.add_log, data)
        if new:
            self.on_logs()
        return new

    async def keep_block(self, data: bytes, source: str = "") -> Added:
        """Take a whole block; raises what `Store.add_block` raises."""
        try:
            added = await asyncio.to_thread(self.store.add_block, data)
        except Orphan:
            self.on_orphan()
            raise
        if added.status != "known":
            self.tell_block(added, data, source)
        return added

    async def take_log(self, data: bytes) -> None:
        """Put a log that was broadcast into the pool; one that can stand in no block is counted."""
        with self._counted():
            await self.keep_log(data)

    async def add_own(self, block: dict[str, Any], head: bytes, blocks: object = None) -> bool:
        """Take a block that this node made as n_j, not encoded yet; whether it is the new tip."""
        added = None
        data = encode(block)
        with self._counted():
            added = await asyncio.to_thread(self.store.add_block, data)
            if added.returned:
                self.on_logs()
            self.on_own(data)
        return added is not None and added.status in ("tip", "reorganised")

    async def take_head(self, data: bytes, source: tuple[str, int]) -> None:
        """A signed head was announced by `source`, its address and the port that it signed: fetch the block soon."""
        with self._counted():
            head = Head(data, self.store.net)
            header.check_work(head.head, self.store.genesis.difficulty)
            if await asyncio.to_thread(self.store.block, head.hash) is not None:
                return
            ip, port = source
            if port < MIN_PORT:
                raise Untrusted("port", f"block: port {port}, {MIN_PORT} is the lowest")
            if ip not in self._wanted and len(self._wanted) >= MAX_WANTED:
                raise Untrusted("busy", f"block: {MAX_WANTED} addresses wait already")
            self._wanted[ip] = (port, data)
            self._news.set()

    async def sync(self, url: str) -> None:
        """As `level`; what fails is an event, since a check is good without it."""
        try:
            await self.level(url)
        except FwError as error:
            self.on_event("error", what="chain", why=str(error))

    async def level(self, url: str) -> Synced:
        """Bring the chain and the pool level with the full node at `url`; raises Unreachable, SyncError, StoreError."""
        assert self._session is not None
        synced = await sync(self.store, Remote(self._session, url))
        self._tell(url, synced)
        return synced

    # announcements

    async def _fetch(self) -> None:
        """Fetch what is wanted, each address when its turn has come."""
        while True:
            now = time.monotonic()
            due = [ip for ip in self._wanted if now - self._asked.get(ip, now - self.pause_s) >= self.pause_s]
            if not due:
                self._news.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._news.wait(), min(1.0, self.pause_s) if self._wanted else None)
                continue
            port, data = self._wanted.pop(due[0])
            self._asked[due[0]] = now
            if len(self._asked) > MAX_ASKED:
                self._asked = {ip: at for ip, at in self._asked.items() if now - at < self.pause_s}
            with self._counted():
                await self._fetch_from(f"http://{due[0]}:{port}", data)

    async def _fetch_from(self, url: str, data: bytes) -> None:
        assert self._session is not None
        remote = Remote(self._session, url)
        try:
            synced = await asyncio.wait_for(take_announcement(self.store, remote, data), FETCH_S)
        except asyncio.TimeoutError:
            raise Untrusted("slow", f"{url}: not within {FETCH_S} s") from None
        self._tell(url, synced)

    # telling

    @contextlib.contextmanager
    def _counted(self) -> Any:
        """Count what a rule does not let in; the store's own trouble is an event."""
        try:
            yield
        except StoreError as error:
            self.on_event("error", what="store", why=str(error))
        except FwError as error:
            self.counters.drop(error)

    def tell_block(self, added: Added, data: bytes, source: str = "") -> None:
        """A block came from `source`, or was made here."""
        fields = {"source": source} if source else {}
        self.on_event("block", height=added.height, hash=added.hash.hex(), bytes=len(data), **fields)
        if added.status == "reorganised":
            self.on_event("reorganised", height=added.height, returned=added.returned, **fields)
        if added.returned:
            self.on_logs()

    def _tell(self, source: str, synced: Synced) -> None:
        if synced.roots and self.on_roots is not None:
            self.on_roots(self.store.roots)
        if synced.blocks or synced.logs:
            self.on_event("synced", source=source, blocks=synced.blocks, logs=synced.logs, height=synced.height)
        if synced.reorganised:
            self.on_event("reorganised", source=source, height=synced.height, returned=synced.returned)
        if synced.logs or synced.returned:
            self.on_logs()
