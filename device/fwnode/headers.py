"""Keeps a board's header chain up with a verification node's, over HTTP (design: the chain)."""

from fwnode.chain import ChainError
from fwnode.chain.authority import Authority
from fwnode.chain.genesis import Genesis
from fwnode.chain.headers import HeaderChain, Orphan
from fwnode.chain.ringfile import RingFile
from fwnode.compat import const, drive
from fwnode.net.http import get
from fwnode.trust.root import Root
from fwnode.wire import WireError
from fwnode.wire.bencode import decode

BATCH = const(4)  # signed heads a request: about 500 bytes each
MAX_BATCHES = const(8)  # a sync; the rest comes with the next check
MAX_ANSWER = const(4096)


async def sync(url: str, files, now, local: str | None) -> int | None:  # type: ignore[no-untyped-def]
    """Take the newer signed heads of the verification node at `url` into the header chain's file; returns the new
    height, None when there was no news. `files` holds genesis and trust root, checked before. Raises FwError.
    """
    genesis = Genesis(files.read("genesis"))
    root = Root(files.read("root"))
    flash = RingFile(files.path("headers"))
    try:
        return await _follow(url, HeaderChain(flash, genesis), Authority(root, genesis.certified), now, local)
    finally:
        flash.close()


async def _follow(url: str, chain, authority, now, local):  # type: ignore[no-untyped-def]
    moved = False
    start = chain.height + 1
    for _ in range(MAX_BATCHES):
        raw = await get("{}/chain/heads?from={}&count={}".format(url, start, BATCH), MAX_ANSWER, local)
        blobs = decode(raw)
        if not isinstance(blobs, list) or not all(isinstance(blob, bytes) for blob in blobs):
            raise WireError("heads: a list of signed heads expected")
        if not blobs:
            break
        try:
            moved = (await drive(chain.take(blobs, authority, now))) or moved
        except Orphan:
            # the node is on another branch: go back to where both may agree
            if start == chain.base.height + 1:
                raise ChainError("previous", "the node's chain does not hold this board's base")
            start = max(chain.base.height + 1, start - 4 * BATCH)
            continue
        start += len(blobs)
    return chain.height if moved else None
