"""The chain store: blocks of every branch, the winning one, and the pool of logs.

A block is stored when every rule of `fwnode.chain.block` holds on its branch; it becomes the tip
when its branch has most work (on a tie the lower hash). Logs of a losing branch return to the pool.
Each call is one transaction: it happens whole or not at all. Everything here blocks: an event loop
calls it in a thread.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from fwchain.chainstore import branch
from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.reader import Reader, Tip, named
from fwchain.chainstore.schema import WRITES, blocks, checkpoints, logs, metadata, open_engine, pool, releases
from fwnode import compat
from fwnode.chain import ChainError, header
from fwnode.chain.block import Block
from fwnode.chain.checkpoint import Checkpoint
from fwnode.chain.genesis import Genesis
from fwnode.chain.log import Log
from fwnode.chain.record import ReleaseRecord, release_record

MAX_POOL = 20_000  # logs
MAX_POOL_OF_SIGNER = 64


__all__ = ["Added", "Orphan", "Store", "Tip"]


class Orphan(ChainError):
    """A block whose parent is not in the store: fetch its ancestors first."""


@dataclass(frozen=True)
class Added:
    """What became of a block: `status` is "tip", "reorganised", "side" or "known"."""

    status: str
    height: int
    hash: bytes
    returned: int = 0  # logs that went back to the pool


class Store(Reader):
    """One network's chain in one database. `roots` are the trust roots 1 to the newest, encoded."""

    def __init__(
        self,
        place: str | Path,
        genesis: bytes,
        roots: list[bytes],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open, or make, the chain of `genesis`; raises StoreError, ChainError, Untrusted."""
        self.genesis = Genesis(genesis)
        self.net = self.genesis.net
        self.clock = clock
        self._lock = threading.RLock()
        self.set_roots(roots)
        with named("open"):
            self._engine = open_engine(place)
            metadata.create_all(self._engine)
        self._writing = self._engine.execution_options(**WRITES)
        with self.writing() as connection:
            self._begin_chain(connection)

    def _begin_chain(self, connection: sa.Connection) -> None:
        found = connection.execute(sa.select(blocks.c.hash).where(blocks.c.height == 0)).scalar_one_or_none()
        if found == self.genesis.hash:
            return
        if found is not None:
            raise StoreError("the chain store holds another network's chain; give it another file")
        connection.execute(
            blocks.insert().values(
                hash=self.genesis.hash, height=0, previous=bytes(32), head=self.genesis.head,
                data=self.genesis.data, announcement=b"", counter=0, root=1, time=self.genesis.time,
                node=True, best=True,
            )
        )  # fmt: skip

    # the pool

    def add_log(self, data: bytes) -> bool:
        """Put a signed verification log into the pool; False when it is known already.

        Raises ChainError, WireError or Untrusted when it could stand in no block, StoreError.
        """
        log = Log(data, self.net)
        now = int(self.clock())
        if log.time > now + header.AHEAD_S:
            raise ChainError("ts", f"the log's time {log.time} is ahead of {now}")
        authority = self.authority()
        key = log.key(authority.claim(log.body)[0])
        with self.reading() as connection:
            if self._known(connection, key):
                return False
        compat.run(log.check(authority, now, self.genesis.difficulty))
        with self.writing() as connection:
            if self._known(connection, key):
                return False
            self._check_room(connection, key)
            connection.execute(pool.insert().values(key=key, signer=key[40:], data=data))
        return True

    def _known(self, connection: sa.Connection, key: bytes) -> bool:
        if connection.execute(sa.select(pool.c.id).where(pool.c.key == key)).first():
            return True
        tip = branch.tip_row(connection)
        return bool(branch.keys_in_branch(connection, [key], branch.Fork(tip.height, ())))

    def _check_room(self, connection: sa.Connection, key: bytes) -> None:
        count = connection.execute(sa.select(sa.func.count()).select_from(pool)).scalar_one()
        if count >= MAX_POOL:
            raise ChainError("pool", f"it holds {count} logs, its limit")
        mine = sa.select(sa.func.count()).select_from(pool).where(pool.c.signer == key[40:])
        if connection.execute(mine).scalar_one() >= MAX_POOL_OF_SIGNER:
            raise ChainError("pool", f"it holds {MAX_POOL_OF_SIGNER} logs of this signer, the limit")

    def drop_from_pool(self, data: bytes) -> None:
        """Forget a log of the pool that can stand in no block any more."""
        with self.writing() as connection:
            connection.execute(pool.delete().where(pool.c.data == data))

    # releases

    def announce(self, metainfo: bytes) -> bool:
        """Queue the release of M for the chain; False when it is there already. Raises ChainError,
        WireError.
        """
        data = release_record(metainfo)
        record = ReleaseRecord(data)
        compat.run(record.check(self.root))
        digest = hashlib.sha256(data).digest()
        with self.writing() as connection:
            if connection.execute(sa.select(releases.c.id).where(releases.c.digest == digest)).first():
                return False
            connection.execute(
                releases.insert().values(
                    digest=digest, block=None, model=record.model, version=record.version, data=data
                )
            )
        return True

    def drop_release(self, data: bytes) -> None:
        """Forget a waiting release record whose signatures count no more."""
        digest = hashlib.sha256(data).digest()
        with self.writing() as connection:
            connection.execute(releases.delete().where(releases.c.digest == digest, releases.c.block.is_(None)))

    # blocks

    def add_block(self, data: bytes) -> Added:
        """Check a block against its branch and store it; raises Orphan, ChainError, WireError,
        Untrusted, StoreError.
        """
        block = Block(data, self.net)
        with self.reading() as connection:
            known = branch.row_of(connection, block.hash)
            if known is not None:
                return Added("known", known.height, block.hash)
            parent = branch.row_of(connection, block.header.previous)
            if parent is None:
                raise Orphan("previous", "the parent is not in the store")
            link = branch.link_of(connection, parent)
        authority = self.authority(block.root)
        block.check_parent(link, self.genesis.difficulty, int(self.clock()))
        block.check_counter(link, authority)
        _, node = compat.run(block.check_head(authority))
        keys = compat.run(block.check_records(authority, self.genesis.difficulty))
        with self.writing() as connection:
            return self._store(connection, block, keys, node)

    def _store(self, connection: sa.Connection, block: Block, keys: list[bytes], node: bool) -> Added:
        known = branch.row_of(connection, block.hash)
        if known is not None:
            return Added("known", known.height, block.hash)
        parent = branch.row_of(connection, block.header.previous)
        height = parent.height + 1
        fork = branch.fork_of(connection, parent)
        checkpoint = self._checkpoint(connection)
        if checkpoint is not None and fork.height < checkpoint.height:
            raise ChainError("checkpoint", f"its branch leaves below the checkpoint at {checkpoint.height}")
        if branch.keys_in_branch(connection, keys, fork):
            raise ChainError("log", "request ID, response ID and signer stand already in this branch")
        connection.execute(
            blocks.insert().values(
                hash=block.hash, height=height, previous=block.header.previous, head=block.head, data=block.encode(),
                announcement=block.announcement(), counter=block.counter, root=block.root,
                time=block.header.time, node=node, best=False,
            )
        )  # fmt: skip
        for position, (log, key) in enumerate(zip(block.logs, keys, strict=True)):
            connection.execute(
                logs.insert().values(
                    block=block.hash, position=position, digest=hashlib.sha256(log.data).digest(), key=key,
                    time=log.time, model=log.model, version=log.version, outcome=log.outcome,
                )
            )  # fmt: skip
        if block.release is not None:
            record = block.release
            connection.execute(
                releases.insert().values(
                    digest=hashlib.sha256(record.data).digest(), block=block.hash, model=record.model,
                    version=record.version, data=record.data,
                )
            )  # fmt: skip
        tip = branch.tip_row(connection)
        if not header.better(height, block.hash, tip.height, tip.hash):  # it lost before it came
            best = branch.keys_in_branch(connection, keys, branch.Fork(tip.height, ()))
            return Added("side", height, block.hash, self._to_pool(connection, block.logs, keys, best))
        returned = self._switch(connection, fork, (*fork.side, block.hash))
        return Added("tip" if tip.hash == block.header.previous else "reorganised", height, block.hash, returned)

    def _switch(self, connection: sa.Connection, fork: branch.Fork, winning: tuple[bytes, ...]) -> int:
        """Make the blocks of `winning` the best ones above the fork; the number of logs that return
        to the pool.
        """
        lost = sa.select(blocks.c.hash, blocks.c.data).where(blocks.c.best, blocks.c.height > fork.height)
        losing = connection.execute(lost.order_by(blocks.c.height)).all()
        connection.execute(blocks.update().where(blocks.c.best, blocks.c.height > fork.height).values(best=False))
        connection.execute(blocks.update().where(blocks.c.hash.in_(winning)).values(best=True))
        won = set(connection.scalars(sa.select(logs.c.key).where(logs.c.block.in_(winning))))
        if won:
            connection.execute(pool.delete().where(pool.c.key.in_(won)))
        returned = 0
        for row in losing:
            keys = connection.scalars(sa.select(logs.c.key).where(logs.c.block == row.hash).order_by(logs.c.position))
            returned += self._to_pool(connection, Block(row.data, self.net).logs, list(keys), won)
        return returned

    def _to_pool(self, connection: sa.Connection, lost: list[Log], keys: list[bytes], best: set[bytes]) -> int:
        """Put the logs of a losing block into the pool, but those whose keys are in the `best` branch; how many."""
        returned = 0
        for log, key in zip(lost, keys, strict=True):
            present = connection.execute(sa.select(pool.c.id).where(pool.c.key == key)).first()
            if key not in best and not present:
                connection.execute(pool.insert().values(key=key, signer=key[40:], data=log.data))
                returned += 1
        return returned

    # checkpoints

    def set_checkpoint(self, data: bytes) -> bool:
        """Take a signed checkpoint; False when it is not above the one held. Its branch becomes the
        best one.

        Raises Orphan when its block is not in the store yet, ChainError when it is not signed as it
        must be.
        """
        checkpoint = Checkpoint(data, self.net)
        compat.run(checkpoint.check(self.root))
        with self.writing() as connection:
            held = self._checkpoint(connection)
            if held is not None and held.height >= checkpoint.height:
                return False
            row = branch.row_of(connection, checkpoint.hash)
            if row is None:
                raise Orphan("checkpoint", "its block is not in the store")
            link = branch.link_of(connection, row)
            told = checkpoint.link()
            if (link.height, link.counter, link.root, link.times) != (told.height, told.counter, told.root, told.times):
                raise ChainError("checkpoint", "it does not tell what its block has")
            fork = branch.fork_of(connection, row)
            if held is not None and fork.height < held.height:
                raise ChainError("checkpoint", f"its branch leaves below the checkpoint at {held.height}")
            if fork.side:
                self._switch(connection, fork, fork.side)
            connection.execute(checkpoints.insert().values(height=row.height, data=data))
        return True
