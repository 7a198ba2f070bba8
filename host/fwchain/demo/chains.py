"""What the chain is at each node of the demo, compared: tips, logs that were told, branches that lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fwchain.chainstore import schema
from fwchain.chainstore.show import log_row
from fwchain.chainstore.source import FolderSource, blocks
from fwchain.demo.processes import fwchain
from fwnode.chain.block import Block
from fwnode.chain.header import SIZE, hash_of
from fwnode.chain.log import Log
from fwnode.net import NetError
from fwnode.net.http import get
from fwnode.trust.cert import Certificate

BOARD_MS = 5000


def verified(place: Path) -> dict[str, Any]:
    """What `fwchain chain verify` says of a whole node's chain; raises CommandFailed when it is not good."""
    row: dict[str, Any] = json.loads(fwchain("chain", "verify", place, "--json"))
    return row


def board_is_at(url: str, height: int, tip: str) -> bool:
    """Whether the newest header that the board at `url` has is the one of `tip`."""
    path = f"/chain/headers?from={height}&count=2"
    try:
        last = asyncio.run(get(url + path, 2 * SIZE, None, BOARD_MS))
    except NetError:
        return False  # it is busy with something else
    return len(last) == SIZE and hash_of(last).hex() == tip


class Records:
    """The logs of the best branch of the whole node in `place`, and what its store has besides."""

    def __init__(self, place: Path) -> None:
        source = FolderSource(place)
        self.best: set[bytes] = set()
        for data in blocks(source, source.hashes()):
            self.best |= {hashlib.sha256(log.data).digest() for log in Block(data, source.genesis.net).logs}
        self._net = source.genesis.net
        engine = schema.open_engine(place / "node.db")
        lost = sa.select(schema.blocks.c.hash).where(~schema.blocks.c.best)
        with engine.connect() as connection:
            self.lost = len(connection.execute(lost).all())
            rows = connection.execute(sa.select(schema.logs.c.digest).where(schema.logs.c.block.in_(lost)))
            self.in_lost = {bytes(row.digest) for row in rows}
        engine.dispose()

    def of(self, told: Iterable[bytes], keys: set[bytes]) -> list[Log]:
        """The logs of `told` that one of `keys` signed."""
        logs = [Log(data, self._net) for data in told]
        return [log for log in logs if _signer(log) in keys]

    def missing(self, told: Iterable[bytes], keys: set[bytes]) -> list[dict[str, Any]]:
        """Those of them that the best branch does not have."""
        return [log_row(log) for log in self.of(told, keys) if hashlib.sha256(log.data).digest() not in self.best]


def _signer(log: Log) -> bytes:
    public: bytes = log.body["pu"] if "pu" in log.body else Certificate(log.body["cert"]).public
    return public
