"""The tables, for SQLite and PostgreSQL alike, and how an engine is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

# One row a block of any branch; `best` marks the branch that wins. Work is height times genesis's difficulty.
blocks = sa.Table(
    "chain_block",
    metadata,
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("previous", sa.LargeBinary(32), nullable=False),
    sa.Column("head", sa.LargeBinary(88), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),  # the encoded block (genesis: its own encoding)
    sa.Column("announcement", sa.LargeBinary, nullable=False),  # the signed head, encoded
    sa.Column("counter", sa.BigInteger, nullable=False),  # of the branch, after this block
    sa.Column("root", sa.Integer, nullable=False),  # number of the trust root
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("node", sa.Boolean, nullable=False),  # a verification node's block
    sa.Column("best", sa.Boolean, nullable=False),
    sa.Index("chain_block_best_height", "best", "height"),
    sa.Index("chain_block_previous", "previous"),
)

# One row a verification log in a block of any branch.
logs = sa.Table(
    "chain_log",
    metadata,
    sa.Column("block", sa.LargeBinary(32), sa.ForeignKey("chain_block.hash"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),  # SHA-256 of the encoded log
    sa.Column("key", sa.LargeBinary(60), nullable=False),  # request ID, response ID, signer's key ID
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("model", sa.String(32), nullable=False),
    sa.Column("version", sa.String(17), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Index("chain_log_key", "key"),
    sa.Index("chain_log_digest", "digest"),
    sa.Index("chain_log_model", "model", "time"),
)

# Logs that are in no block of the best branch.
pool = sa.Table(
    "chain_pool",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.LargeBinary(60), nullable=False, unique=True),
    sa.Column("signer", sa.LargeBinary(20), nullable=False, index=True),  # key ID
    sa.Column("data", sa.LargeBinary, nullable=False),
)

# Releases in the chain (`block` set) or waiting to be announced (`block` null).
releases = sa.Table(
    "chain_release",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),  # SHA-256 of the encoded record
    sa.Column("block", sa.LargeBinary(32), sa.ForeignKey("chain_block.hash"), nullable=True),
    sa.Column("model", sa.String(32), nullable=False),
    sa.Column("version", sa.String(17), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("chain_release_digest", "digest"),
    sa.Index("chain_release_block", "block"),
)

# Every checkpoint that came into force; the highest one counts, the others serve proofs.
checkpoints = sa.Table(
    "chain_checkpoint",
    metadata,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

WRITES = {"fwchain_writes": True}


def open_engine(place: str | Path) -> sa.Engine:
    """An engine for a database URL, or for a SQLite file by its path; its folder is made."""
    if isinstance(place, Path) or "://" not in place:
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        place = f"sqlite:///{path}"
    engine = sa.create_engine(place)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return engine


def _prepare_sqlite(engine: sa.Engine) -> None:
    """WAL, durable commits, foreign keys; a writing transaction takes its lock when it begins."""

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("fwchain_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
