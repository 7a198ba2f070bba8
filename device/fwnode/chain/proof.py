"""A proof file: that a record stands in the chain, to somebody who has genesis alone.

{"t": "proof", "in": the inclusion encoded, "block": the signed head, "heads": headers of 88 bytes, "roots": trust roots
1 to the last, "cp": a checkpoint}. The headers run

    from height 1 to the tip, when there is no checkpoint;
    from the block to the checkpoint, when that is above it (then the verification nodes' signatures cover the block);
    from the checkpoint to the tip, when that is below it.
"""

from fwnode.chain import ChainError
from fwnode.chain import header as headers
from fwnode.chain.authority import Authority
from fwnode.chain.checkpoint import MAX_CHECKPOINT, Checkpoint
from fwnode.chain.head import Head
from fwnode.chain.inclusion import MAX_INCLUSION, Inclusion, inclusion
from fwnode.chain.log import Log
from fwnode.chain.record import ReleaseRecord
from fwnode.trust.document import BYTES, LIST, only, take
from fwnode.trust.root import Root
from fwnode.wire.bencode import decode_dict, encode

__all__ = ["Inclusion", "build", "check", "check_roots", "inclusion"]

MAX_PROOF = 64 << 20


def build(included: bytes, block: bytes, heads: bytes, roots: list, checkpoint=None) -> bytes:  # type: ignore[no-untyped-def]
    """The encoded proof file; `block` is the signed head, `heads` the headers one after the other."""
    body = {"t": "proof", "in": included, "block": block, "heads": heads, "roots": roots}
    if checkpoint is not None:
        body["cp"] = checkpoint
    return encode(body)


def check(data: bytes, genesis):  # type: ignore[no-untyped-def]
    """Steps: (record, height, headers above the block, the checkpoint that covers the block or None); raises
    ChainError, WireError or Untrusted. Needs genesis alone.

    Checked: every header's link, work and time, the merkle path, the block's and the record's signature and the
    checkpoint's, under the trust roots, from the root 1 that genesis names. Whether a better branch exists, no proof
    can say; a checkpoint says that the verification nodes will take none.
    """
    where = "proof"
    body = decode_dict(data, where, MAX_PROOF)
    only(body, where, ("t", "in", "block", "heads", "roots", "cp"))
    if body.get("t") != b"proof":
        raise ChainError("proof", "type proof expected")
    included = Inclusion(take(body, where, "in", BYTES, 1, MAX_INCLUSION))
    block = Head(take(body, where, "block", BYTES, 1, 768), genesis.net)
    heads = _split(take(body, where, "heads", BYTES, headers.SIZE, MAX_PROOF))
    roots = yield from check_roots(take(body, where, "roots", LIST, 1, 4096), genesis)
    checkpoint = None
    if "cp" in body:
        checkpoint = Checkpoint(take(body, where, "cp", BYTES, 1, MAX_CHECKPOINT), genesis.net)
        yield from _check_checkpoint(checkpoint, roots)
    if checkpoint is not None and checkpoint.height >= included.height:
        first = included.height
        _check_covered(heads, first, checkpoint, genesis.difficulty)
    else:
        link = genesis.link() if checkpoint is None else checkpoint.link()
        first = link.height + 1
        _check_branch(heads, link, genesis.difficulty)
        checkpoint = None
    if included.height - first >= len(heads):
        raise ChainError("heads", "{} from height {} do not reach {}".format(len(heads), first, included.height))
    if block.head != heads[included.height - first]:
        raise ChainError("block", "its signed head is not the one at height {}".format(included.height))
    included.check(block.head)
    if block.root > len(roots):
        raise ChainError("roots", "the block is signed under root {}, {} are given".format(block.root, len(roots)))
    authority = Authority(roots[block.root - 1], genesis.certified)
    yield from block.check_head(authority)
    record = yield from _check_record(included.leaf, authority, block, genesis)
    return record, included.height, len(heads) - 1 - included.height + first, checkpoint


def _check_record(leaf: bytes, authority, block, genesis):  # type: ignore[no-untyped-def]
    """Steps: the Log or ReleaseRecord in a leaf, its signatures checked."""
    if decode_dict(leaf, "leaf", MAX_INCLUSION).get("t") == b"verification_log":
        log = Log(leaf, genesis.net)
        yield from log.check(authority, block.header.time, genesis.difficulty)
        return log
    release = ReleaseRecord(leaf)
    yield from release.check(authority.root)
    return release


def _split(heads: bytes) -> list:
    if len(heads) % headers.SIZE:
        raise ChainError("heads", "{} bytes are no headers of {}".format(len(heads), headers.SIZE))
    return [heads[at : at + headers.SIZE] for at in range(0, len(heads), headers.SIZE)]


def _check_branch(heads: list, link, difficulty: int) -> None:  # type: ignore[no-untyped-def]
    """Raise ChainError unless the headers follow on the block of `link`, one on the other."""
    previous = link.hash
    times = link.times
    for index, raw in enumerate(heads):
        header = headers.decode(raw)
        if header.previous != previous:
            raise ChainError("heads", "the header of height {} does not link".format(link.height + 1 + index))
        previous = headers.check_work(raw, difficulty)
        headers.check_time(header.time, times, None)
        times = times[-10:] + [header.time]


def _check_covered(heads: list, first: int, checkpoint, difficulty: int) -> None:  # type: ignore[no-untyped-def]
    """Raise ChainError unless the headers, the first at height `first`, end in the checkpoint's block."""
    if len(heads) != checkpoint.height - first + 1:
        raise ChainError("heads", "{} do not reach from {} to {}".format(len(heads), first, checkpoint.height))
    wanted = checkpoint.hash
    for raw in reversed(heads):
        header = headers.decode(raw)
        if headers.check_work(raw, difficulty) != wanted:
            raise ChainError("heads", "they do not link to the checkpoint")
        wanted = header.previous


def _check_checkpoint(checkpoint, roots: list):  # type: ignore[no-untyped-def]
    """Steps: raise ChainError unless it is signed as one of the roots since its block asks for."""
    if checkpoint.root > len(roots):
        raise ChainError("roots", "the checkpoint names root {}, {} are given".format(checkpoint.root, len(roots)))
    for root in roots[checkpoint.root - 1 :]:
        try:
            yield from checkpoint.check(root)
            return
        except ChainError as error:
            refused = error
    raise refused


def check_roots(documents: list, genesis):  # type: ignore[no-untyped-def]
    """Steps: the trust roots 1 to the last, each one checked against the one before, root 1 against
    genesis.
    """
    roots = []  # type: list[Root]
    for data in documents:
        if not isinstance(data, bytes):
            raise ChainError("roots", "documents expected")
        root = Root(data)
        if roots:
            yield from roots[-1].check_next(root)
        else:
            root.check_first(genesis.root_hash)
        roots.append(root)
    return roots
