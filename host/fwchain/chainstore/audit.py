"""The check of a whole chain, from genesis, by every rule: it believes nothing that a database or a
node says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from fwchain.chainstore.reader import KEPT_CERTIFICATES
from fwchain.chainstore.store import Store
from fwnode import compat
from fwnode.chain import ChainError, header, proof
from fwnode.chain.authority import Authority
from fwnode.chain.block import Block
from fwnode.chain.genesis import Genesis
from fwnode.chain.head import Link
from fwnode.errors import FwError


class AuditError(ChainError):
    """The first block that breaks a rule; the text says which block and which rule."""


@dataclass
class Audit:
    """What was seen: counts, and the last block."""

    height: int = 0
    tip: bytes = b""
    logs: int = 0
    successes: int = 0
    releases: int = 0
    node_blocks: int = 0
    counter: int = 0
    work: int = 0
    size: int = 0  # bytes of all encoded blocks
    outcomes: dict[str, int] = field(default_factory=dict)


def verify_blocks(
    genesis: Genesis,
    roots: list[bytes],
    blocks: Iterable[bytes],
    now: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Audit:
    """Check the encoded blocks of height 1, 2 … of one branch; raises AuditError, or Untrusted for
    the trust roots.
    """
    opened = compat.run(proof.check_roots(roots, genesis))
    authorities = [Authority(root, genesis.certified, KEPT_CERTIFICATES) for root in opened]
    link = genesis.link()
    seen: set[bytes] = set()
    audit = Audit(tip=genesis.hash)
    for data in blocks:
        try:
            link = _next(genesis, authorities, data, link, seen, now, audit)
        except FwError as error:
            raise AuditError("chain", f"block {audit.height + 1}: {error}") from error
        if progress is not None:
            progress(audit.height)
    return audit


def _next(
    genesis: Genesis,
    authorities: list[Authority],
    data: bytes,
    link: Link,
    seen: set[bytes],
    now: int | None,
    audit: Audit,
) -> Link:
    block = Block(data, genesis.net)
    block.check_parent(link, genesis.difficulty, now)
    if block.root > len(authorities):
        raise ChainError("trust root", f"number {block.root}, {len(authorities)} is the newest known")
    authority = authorities[block.root - 1]
    block.check_counter(link, authority)
    _, node = compat.run(block.check_head(authority))
    for key in compat.run(block.check_records(authority, genesis.difficulty)):
        if key in seen:
            raise ChainError("log", "request ID, response ID and signer stand already in this branch")
        seen.add(key)
    audit.height += 1
    audit.tip = block.hash
    audit.logs += len(block.logs)
    audit.releases += block.release is not None
    audit.node_blocks += node
    audit.counter = block.counter
    audit.work += genesis.difficulty
    audit.size += len(data)
    for log in block.logs:
        audit.successes += log.success
        audit.outcomes[log.outcome] = audit.outcomes.get(log.outcome, 0) + 1
    times = [*link.times, block.header.time][-header.MEDIAN_OF :]
    return Link(link.height + 1, block.hash, block.counter, block.root, times)


def blocks_of(store: Store, hashes: list[bytes] | None = None) -> Iterator[bytes]:
    """The encoded blocks of a store's best branch, from height 1; the branch of one moment, whatever comes after."""
    for digest in store.hashes() if hashes is None else hashes:
        data = store.block(digest)
        if data is None:
            raise AuditError("chain", f"block {digest.hex()} is gone from the store")
        yield data


def check_tip(audit: Audit, hashes: list[bytes]) -> None:
    """Raise AuditError unless the blocks that were checked end in the block that was named last."""
    if hashes and audit.tip != hashes[-1]:
        raise AuditError("chain", f"its last block is {audit.tip.hex()}, not {hashes[-1].hex()} as it says")


def verify_chain(store: Store, now: int | None = None, progress: Callable[[int], None] | None = None) -> Audit:
    """Check a store's whole best branch from its genesis."""
    hashes = store.hashes()
    audit = verify_blocks(store.genesis, store.roots, blocks_of(store, hashes), now, progress)
    check_tip(audit, hashes)
    return audit
