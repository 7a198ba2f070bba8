"""Keeps a store level with other nodes' over HTTP: headers first, then the blocks that are missing, then the pool.

Nothing that the other side says is believed: headers are checked for link, work and time before a block is asked for,
and the store checks every block. A side branch costs the other side its proof of work; one that cannot win is left.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import aiohttp

from fwchain.chainstore.reader import MAX_HEADERS
from fwchain.chainstore.store import Orphan, Store
from fwchain.errors import HostError, Unreachable
from fwnode.chain import header
from fwnode.chain.checkpoint import MAX_CHECKPOINT
from fwnode.chain.head import MAX_BLOCK, Head
from fwnode.errors import FwError
from fwnode.trust.root import MAX_ROOT
from fwnode.wire.bencode import decode

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=20)
MAX_TIP = 8192
MAX_POOL_BYTES = 200_000
MAX_POOL_PAGES = 50
MAX_NEW_ROOTS = 64  # trust roots taken in one sync
MAX_NEW = 200_000  # headers taken in one sync
AHEAD = 8  # blocks asked for while one is checked


class SyncError(HostError):
    """The other node's chain breaks a rule, or its answers do not fit together."""


@dataclass
class Synced:
    """What a sync brought."""

    blocks: int = 0
    logs: int = 0
    roots: int = 0  # new trust roots; they are in `store.roots`, to be kept by whoever keeps them
    reorganised: bool = False
    returned: int = 0  # logs of losing branches that went back to the pool
    height: int = 0


class Remote:
    """Another node's `/chain/…`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = session

    async def get(self, path: str, limit: int) -> bytes | None:
        """The body of an answer of at most `limit` bytes; None when there is no such thing.

        Raises Unreachable or SyncError.
        """
        try:
            async with self._session.get(self.url + path, timeout=TIMEOUT, allow_redirects=False) as reply:
                if reply.status == 404:
                    return None
                if reply.status != 200:
                    raise Unreachable(f"{self.url}{path}: {reply.status}")
                body = bytearray()
                async for part in reply.content.iter_chunked(65536):
                    body += part
                    if len(body) > limit:
                        raise SyncError(f"{self.url}{path}: more than {limit} bytes")
                return bytes(body)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise Unreachable(f"{self.url}: {error or type(error).__name__}") from error

    async def tip(self) -> tuple[int, bytes]:
        """(height, hash) of its best branch's tip."""
        raw = await self.get("/chain/tip", MAX_TIP)
        try:
            told = json.loads(raw or b"")
            height, digest = int(told["height"]), bytes.fromhex(told["hash"])
        except (ValueError, KeyError, TypeError) as error:
            raise SyncError(f"{self.url}/chain/tip: no tip") from error
        if height < 0 or len(digest) != 32:
            raise SyncError(f"{self.url}/chain/tip: no tip")
        return height, digest

    async def headers(self, first: int, count: int) -> list[bytes]:
        """Its headers from height `first`."""
        raw = await self.get(f"/chain/headers?from={first}&count={count}", count * header.SIZE) or b""
        if len(raw) % header.SIZE:
            raise SyncError(f"{self.url}/chain/headers: {len(raw)} bytes are no headers")
        return [raw[at : at + header.SIZE] for at in range(0, len(raw), header.SIZE)]

    async def block(self, digest: bytes) -> bytes:
        """The encoded block with this hash."""
        data = await self.get(f"/chain/block/{digest.hex()}", MAX_BLOCK)
        if data is None:
            raise SyncError(f"{self.url}: it gives a header and not its block, {digest.hex()[:16]}")
        return data

    async def pool(self, after: int) -> list[bytes]:
        """Logs of its pool."""
        try:
            logs = decode(await self.get(f"/chain/pool?after={after}", MAX_POOL_BYTES) or b"le")
        except FwError as error:
            raise SyncError(f"{self.url}/chain/pool: {error}") from error
        if not isinstance(logs, list) or not all(isinstance(log, bytes) for log in logs):
            raise SyncError(f"{self.url}/chain/pool: a list of logs expected")
        return logs


async def sync(store: Store, remote: Remote, with_pool: bool = True) -> Synced:
    """Bring the store up to the remote's chain when that wins; raises Unreachable, SyncError, StoreError."""
    result = Synced()
    result.roots = await _roots(store, remote)
    height, digest = await remote.tip()
    if await asyncio.to_thread(store.block, digest) is None and digest != store.genesis.hash:
        await _blocks(store, remote, height, digest, result)
    await _checkpoint(store, remote)
    if with_pool:
        result.logs = await _pool(store, remote)
    result.height = (await asyncio.to_thread(store.tip)).height
    return result


async def _roots(store: Store, remote: Remote) -> int:
    """Take the remote's newer trust roots, each one signed by the one before; how many."""
    known = len(store.roots)
    found = list(store.roots)
    while len(found) < known + MAX_NEW_ROOTS:
        data = await remote.get(f"/root/{len(found) + 1}", MAX_ROOT)
        if data is None:
            break
        found.append(data)
    if len(found) > known:
        try:
            await asyncio.to_thread(store.set_roots, found)
        except FwError as error:
            raise SyncError(f"{remote.url}: trust root {known + 1}: {error}") from error
    return len(found) - known


async def _checkpoint(store: Store, remote: Remote) -> None:
    """Take the remote's checkpoint when its block is here and verification nodes signed it."""
    data = await remote.get("/chain/checkpoint", MAX_CHECKPOINT)
    if data is None:
        return
    try:
        await asyncio.to_thread(store.set_checkpoint, data)
    except Orphan:
        return  # of a branch that is not here (yet)
    except HostError:
        raise
    except FwError as error:
        raise SyncError(f"{remote.url}: checkpoint: {error}") from error


async def _blocks(store: Store, remote: Remote, height: int, digest: bytes, result: Synced) -> None:
    ours = await asyncio.to_thread(store.tip)
    if not header.better(height, digest, ours.height, ours.hash):
        return
    fork = await _common(store, remote, min(height, ours.height))
    heads = await _headers(store, remote, fork, height)
    if not header.better(fork + len(heads), header.hash_of(heads[-1]) if heads else b"", ours.height, ours.hash):
        return
    asked: list[asyncio.Task[bytes]] = []
    try:
        hashes = [header.hash_of(head) for head in heads]
        for index, wanted in enumerate(hashes):
            while len(asked) <= index + AHEAD and len(asked) < len(hashes):
                asked.append(asyncio.create_task(remote.block(hashes[len(asked)])))
            data = await asked[index]
            try:
                added = await asyncio.to_thread(store.add_block, data)
            except HostError:
                raise
            except FwError as error:
                raise SyncError(f"{remote.url}: block {fork + index + 1}: {error}") from error
            if added.hash != wanted:
                raise SyncError(f"{remote.url}: block {fork + index + 1} is not the one of its header")
            result.blocks += added.status != "known"
            if added.status == "reorganised":  # what its blocks gave to the pool on the way stands in the branch now
                result.reorganised, result.returned = True, 0
            result.returned += added.returned
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _common(store: Store, remote: Remote, height: int) -> int:
    """The height of a block that both have on their best branch: steps back, twice as far each time, then halves."""
    checkpoint = await asyncio.to_thread(store.checkpoint)
    floor = checkpoint.height if checkpoint is not None else 0

    async def same(at: int) -> bool:
        if at == 0:
            return True
        theirs = await remote.headers(at, 1)
        return bool(theirs) and theirs[0] == await asyncio.to_thread(store.headers, at, 1)

    step, good, bad = 1, height, height + 1
    while not await same(good):
        if good <= floor:
            raise SyncError(f"{remote.url}: its chain does not hold block {floor}, which no reorganisation goes below")
        bad, good, step = good, max(floor, good - step), step * 2
    while bad - good > 1:
        middle = (good + bad) // 2
        if await same(middle):
            good = middle
        else:
            bad = middle
    return good


async def _headers(store: Store, remote: Remote, fork: int, height: int) -> list[bytes]:
    """The remote's headers above the fork, checked: each links, shows its work, and has a possible time."""
    previous = store.genesis.hash
    if fork:
        previous = header.hash_of(await asyncio.to_thread(store.headers, fork, 1))
    link = await asyncio.to_thread(store.link, previous)
    times = list(link.times)
    now = int(store.clock())
    found: list[bytes] = []
    while fork + len(found) < height and len(found) < MAX_NEW:
        batch = await remote.headers(fork + len(found) + 1, MAX_HEADERS)
        if not batch:
            break
        for raw in batch:
            try:
                parsed = header.decode(raw)
                digest = header.check_work(raw, store.genesis.difficulty)
                header.check_time(parsed.time, times, now)
            except FwError as error:
                raise SyncError(f"{remote.url}: header {fork + len(found) + 1}: {error}") from error
            if parsed.previous != previous:
                raise SyncError(f"{remote.url}: header {fork + len(found) + 1} does not link")
            previous = digest
            times = [*times[-10:], parsed.time]
            found.append(raw)
    return found


async def _pool(store: Store, remote: Remote) -> int:
    """Take the logs of the remote's pool that can stand in a block; how many were new."""
    taken = after = 0
    for _ in range(MAX_POOL_PAGES):
        logs = await remote.pool(after)
        for log in logs:
            try:
                taken += await asyncio.to_thread(store.add_log, log)
            except HostError:
                raise
            except FwError:
                continue  # not good enough for our pool, whatever it is for theirs
        after += len(logs)
        if not logs:
            break
    return taken


async def take_announcement(store: Store, remote: Remote, announcement: bytes) -> Synced:
    """Take a block that was announced by its signed head: fetch it by hash; when its parent is unknown, sync.

    The cheap checks come first: network, work, and whether it is known. Raises ChainError, WireError, HostError.
    """
    head = Head(announcement, store.net)
    header.check_work(head.head, store.genesis.difficulty)
    if await asyncio.to_thread(store.block, head.hash) is not None:
        return Synced(height=(await asyncio.to_thread(store.tip)).height)
    previous = head.header.previous
    if previous != store.genesis.hash and await asyncio.to_thread(store.block, previous) is None:
        return await sync(store, remote, with_pool=False)
    added = await asyncio.to_thread(store.add_block, await remote.block(head.hash))
    tip = await asyncio.to_thread(store.tip)
    reorganised = added.status == "reorganised"
    return Synced(blocks=1, reorganised=reorganised, returned=added.returned, height=tip.height)
