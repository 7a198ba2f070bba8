"""The chain as rows that a person, a dashboard or a script reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from fwchain.chainstore.store import Store
from fwnode.chain.block import Block
from fwnode.chain.log import Log
from fwnode.trust.cert import Certificate
from fwnode.wire.message import key_id


def log_row(log: Log) -> dict[str, Any]:
    """One verification log: its fields by name, IDs and hashes in hexadecimal; `id` names it for a
    proof.
    """
    sender = log.body
    public = sender["pu"] if "pu" in sender else Certificate(sender["cert"]).public
    return {
        "id": hashlib.sha256(log.data).hexdigest(),
        "time": log.time,
        "request": log.request.hex(),
        "response": log.response.hex(),
        "outcome": log.outcome,
        "model": log.model,
        "version": log.version,
        "verifier": log.verifier.hex(),
        "signer": key_id(public).hex(),
    }


def block_row(height: int, block: Block, size: int, node: bool) -> dict[str, Any]:
    """One block: its header's and verification field's parts by the paper's names; `node`: by a verification node."""
    release = block.release
    return {
        "height": height,
        "hash": block.hash.hex(),
        "previous": block.header.previous.hex(),
        "merkle_root": block.header.root.hex(),
        "version": block.header.version,
        "time": block.header.time,
        "difficulty": block.header.difficulty,
        "nonce": block.header.nonce,
        "size": block.header.size,
        "bytes": size,
        "by": block.by.hex(),
        "maker": "verification node" if node else "normal node",
        "trust_root": block.root,
        "counter": block.own_counter,
        "branch_counter": block.counter,
        "logs": [log_row(log) for log in block.logs],
        "release": None
        if release is None
        else {
            "id": hashlib.sha256(release.data).hexdigest(),
            "model": release.model,
            "version": release.version,
            "verifier": release.verifier.hex(),
        },
    }


def summaries(store: Store, first: int, count: int) -> Iterator[dict[str, Any]]:
    """The rows of the best branch's blocks from height `first` (at least 1)."""
    first = max(first, 1)
    for height in range(first, first + count):
        data = store.block(height)
        if data is None:
            return
        block = Block(data, store.net)
        yield block_row(height, block, len(data), store.authority(block.root).node(block.body))
