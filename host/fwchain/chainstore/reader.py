"""What the chain store answers: the reading half of `fwchain.chainstore.store`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fwchain.chainstore import branch
from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.schema import blocks, checkpoints, logs, pool, releases
from fwnode import compat
from fwnode.chain import ChainError, proof
from fwnode.chain.authority import Authority
from fwnode.chain.block import Block
from fwnode.chain.checkpoint import Checkpoint
from fwnode.chain.genesis import Genesis
from fwnode.chain.head import Link
from fwnode.errors import FwError
from fwnode.trust.root import Root

MAX_HEADERS = 2000
MAX_HEADS = 100
MAX_HEIGHT = 1 << 31
KEPT_CERTIFICATES = 4096


@dataclass(frozen=True)
class Tip:
    """The winning branch's last block."""

    height: int
    hash: bytes
    counter: int
    time: int
    announcement: bytes  # the signed head; of genesis empty


class Reader:
    """Questions to one network's chain; the database is opened by `Store`."""

    genesis: Genesis
    net: bytes
    _engine: sa.Engine
    _writing: sa.Engine
    _lock: threading.RLock

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; raises StoreError when the database fails it, and then nothing
        of it is kept.
        """
        with named("write"), self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":  # one writer at a time, as SQLite has it
                connection.execute(sa.text("LOCK TABLE chain_block IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads one state of the chain."""
        with named("read"), self._engine.begin() as connection:
            yield connection

    # trust

    def set_roots(self, roots: list[bytes]) -> None:
        """Take the trust roots 1 to the newest, each checked against the one before; raises
        Untrusted.
        """
        opened = compat.run(proof.check_roots(roots, self.genesis))
        certified = self.genesis.certified
        with self._lock:
            self.roots = list(roots)
            self._authorities = [Authority(root, certified, KEPT_CERTIFICATES) for root in opened]

    @property
    def root(self) -> Root:
        """The newest trust root."""
        newest: Root = self._authorities[-1].root
        return newest

    def authority(self, number: int | None = None) -> Authority:
        """Whose signatures count under trust root `number`, or under the newest."""
        if number is None:
            return self._authorities[-1]
        if number > len(self._authorities):
            raise ChainError("trust root", f"number {number}, {len(self._authorities)} is the newest here")
        return self._authorities[number - 1]

    # questions

    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint."""
        with self.reading() as connection:
            return self._checkpoint(connection)

    def _checkpoint(self, connection: sa.Connection) -> Checkpoint | None:
        query = sa.select(checkpoints.c.data).order_by(checkpoints.c.height.desc()).limit(1)
        data = connection.execute(query).scalar_one_or_none()
        return None if data is None else Checkpoint(data, self.net)

    def pool(self, limit: int = 100, after: int = 0) -> list[bytes]:
        """The oldest logs of the pool, encoded; `after` skips as many."""
        query = sa.select(pool.c.data).order_by(pool.c.id).limit(limit).offset(after)
        with self.reading() as connection:
            return list(connection.scalars(query))

    def waiting_release(self) -> bytes | None:
        """The oldest release record that no block of the best branch announces yet."""
        announced = sa.select(releases.c.digest).join(blocks, blocks.c.hash == releases.c.block).where(blocks.c.best)
        query = sa.select(releases.c.data).where(releases.c.digest.not_in(announced))
        with self.reading() as connection:
            return connection.execute(query.order_by(releases.c.id).limit(1)).scalar_one_or_none()

    def newest_release(self, model: str) -> bytes | None:
        """The release record of the model that the best branch announced last."""
        query = (
            sa.select(releases.c.data)
            .join(blocks, blocks.c.hash == releases.c.block)
            .where(blocks.c.best, releases.c.model == model)
            .order_by(blocks.c.height.desc())
            .limit(1)
        )
        with self.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def tip(self) -> Tip:
        """The winning branch's last block."""
        with self.reading() as connection:
            row = branch.tip_row(connection)
            query = sa.select(blocks.c.announcement).where(blocks.c.hash == row.hash)
            return Tip(row.height, row.hash, row.counter, row.time, connection.execute(query).scalar_one())

    def link(self, digest: bytes | None = None) -> Link:
        """What a block on the block `digest` (or on the tip) needs to know; raises ChainError."""
        with self.reading() as connection:
            row = branch.tip_row(connection) if digest is None else branch.row_of(connection, digest)
            if row is None:
                raise ChainError("hash", "no such block")
            return branch.link_of(connection, row)

    def block(self, which: bytes | int) -> bytes | None:
        """The encoded block with this hash (of any branch), or at this height of the best one; None
        when there is none.
        """
        query = sa.select(blocks.c.data).where(blocks.c.height > 0)
        if isinstance(which, int):
            query = query.where(blocks.c.best, blocks.c.height == which)
        else:
            query = query.where(blocks.c.hash == which)
        with self.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def hashes(self) -> list[bytes]:
        """The hashes of the best branch's blocks from height 1, as they are at one moment."""
        query = sa.select(blocks.c.hash).where(blocks.c.best, blocks.c.height > 0).order_by(blocks.c.height)
        with self.reading() as connection:
            return list(connection.scalars(query))

    def height_of(self, digest: bytes) -> int | None:
        """The height of a block of the best branch, or None."""
        query = sa.select(blocks.c.height).where(blocks.c.hash == digest, blocks.c.best)
        with self.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def headers(self, first: int, count: int) -> bytes:
        """The best branch's headers from height `first`, 88 bytes each, at most MAX_HEADERS."""
        return b"".join(self._column(blocks.c.head, first, min(count, MAX_HEADERS)))

    def heads(self, first: int, count: int) -> list[bytes]:
        """The best branch's signed heads from height `first`, at most MAX_HEADS."""
        return self._column(blocks.c.announcement, max(first, 1), min(count, MAX_HEADS))

    def _column(self, column: sa.Column[Any], first: int, count: int) -> list[bytes]:
        query = sa.select(column).where(blocks.c.best, blocks.c.height >= first, blocks.c.height < first + count)
        with self.reading() as connection:
            return list(connection.scalars(query.order_by(blocks.c.height)))

    def inclusion(self, digest: bytes) -> bytes | None:
        """The encoded inclusion of the log or release record with this SHA-256 in the best branch;
        None when it is not there.
        """
        with self.reading() as connection:
            row = connection.execute(
                sa.select(blocks.c.height, blocks.c.data, logs.c.position)
                .join(logs, logs.c.block == blocks.c.hash)
                .where(logs.c.digest == digest, blocks.c.best)
            ).first()
            if row is not None:
                return proof.inclusion(row.height, Block(row.data, self.net), row.position + 1)
            row = connection.execute(
                sa.select(blocks.c.height, blocks.c.data)
                .join(releases, releases.c.block == blocks.c.hash)
                .where(releases.c.digest == digest, blocks.c.best)
            ).first()
        if row is None:
            return None
        block = Block(row.data, self.net)
        return proof.inclusion(row.height, block, len(block.leaves()) - 1)

    def proof_file(self, digest: bytes) -> bytes | None:
        """The proof file of the record with this SHA-256: all that somebody needs who has genesis
        alone.
        """
        found = self.inclusion(digest)
        if found is None:
            return None
        height = proof.Inclusion(found).height
        announcement = self.heads(height, 1)[0]
        with self.reading() as connection:
            above = sa.select(checkpoints.c.data).where(checkpoints.c.height >= height)
            data = connection.execute(above.order_by(checkpoints.c.height).limit(1)).scalar_one_or_none()
        newest = self.checkpoint()
        if data is not None:
            first, last = height, Checkpoint(data, self.net).height
        elif newest is not None:
            first, last, data = newest.height + 1, MAX_HEIGHT, newest.data
        else:
            first, last = 1, MAX_HEIGHT
        heads = b"".join(self._column(blocks.c.head, first, last - first + 1))
        return proof.build(found, announcement, heads, self.roots, data)


@contextmanager
def named(what: str) -> Iterator[None]:
    try:
        yield
    except FwError:
        raise
    except (sa.exc.SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"chain store: cannot {what}: {cause}") from error
