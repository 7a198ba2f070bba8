"""Questions about branches, inside a transaction: ancestors, forks, links, duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fwchain.chainstore.schema import blocks, logs
from fwnode.chain.head import Link
from fwnode.chain.header import MEDIAN_OF


@dataclass(frozen=True)
class Fork:
    """Where a branch leaves the best one: `height` of the last common block, and the hashes above
    it, lowest first.
    """

    height: int
    side: tuple[bytes, ...]


def row_of(connection: sa.Connection, digest: bytes) -> Any:
    """The row of a block without its data, or None."""
    columns = [column for column in blocks.c if column.name not in ("data", "announcement")]
    return connection.execute(sa.select(*columns).where(blocks.c.hash == digest)).one_or_none()


def tip_row(connection: sa.Connection) -> Any:
    """The row of the best branch's tip, without its data."""
    columns = [column for column in blocks.c if column.name not in ("data", "announcement")]
    query = sa.select(*columns).where(blocks.c.best).order_by(blocks.c.height.desc()).limit(1)
    return connection.execute(query).one()


def fork_of(connection: sa.Connection, row: Any) -> Fork:
    """Where the branch that ends in the block of `row` leaves the best one."""
    side: list[bytes] = []
    while not row.best:
        side.append(row.hash)
        row = row_of(connection, row.previous)
    return Fork(row.height, tuple(reversed(side)))


def link_of(connection: sa.Connection, row: Any) -> Link:
    """What a block on the block of `row` needs to know."""
    times = [row.time]
    at = row
    while len(times) < MEDIAN_OF and at.height > 0:
        if at.best:
            query = sa.select(blocks.c.time).where(blocks.c.best, blocks.c.height < at.height)
            query = query.order_by(blocks.c.height.desc()).limit(MEDIAN_OF - len(times))
            times.extend(connection.scalars(query))
            break
        at = row_of(connection, at.previous)
        times.append(at.time)
    return Link(row.height, row.hash, row.counter, row.root, list(reversed(times)))


def keys_in_branch(connection: sa.Connection, keys: list[bytes], fork: Fork) -> set[bytes]:
    """Which of the log keys stand already in the branch."""
    if not keys:
        return set()
    query = sa.select(logs.c.key).join(blocks, blocks.c.hash == logs.c.block).where(logs.c.key.in_(keys))
    inside = sa.and_(blocks.c.best, blocks.c.height <= fork.height)
    if fork.side:
        inside = sa.or_(inside, blocks.c.hash.in_(fork.side))
    return set(connection.scalars(query.where(inside)))
