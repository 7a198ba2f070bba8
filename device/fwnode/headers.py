"""Keeps a board's header chain up with a verification node's, over HTTP (design: the chain)."""

from fwnode.chain import ChainError
from fwnode.chain.authority import Authority
from fwnode.chain.headers import HeaderChain, Orphan
from fwnode.chain.ringfile import RingFile
from fwnode.compat import const
from fwnode.exchange import drive
from fwnode.net.http import get
from fwnode.wire import WireError
from fwnode.wire.bencode import decode

PATH = "/fwchain/headers"
BATCH = const(4)  # signed heads a request: about 500 bytes each
MAX_BATCHES = const(8)  # a sync; the rest comes with the next check
MAX_ANSWER = const(4096)


class Headers:
    """The header chain of `genesis` in a file."""

    def __init__(self, genesis, local: str | None, path: str = PATH) -> None:  # type: ignore[no-untyped-def]
        self.chain = HeaderChain(RingFile(path), genesis)
        self.certified = genesis.certified
        self.local = local

    async def sync(self, url: str, root, now) -> int | None:  # type: ignore[no-untyped-def]
        """Take the node's newer signed heads; the new height, None when there was no news. Raises FwError."""
        moved = False
        start = self.chain.height + 1
        authority = Authority(root, self.certified)
        for _ in range(MAX_BATCHES):
            raw = await get("{}/chain/heads?from={}&count={}".format(url, start, BATCH), MAX_ANSWER, self.local)
            blobs = decode(raw)
            if not isinstance(blobs, list) or not all(isinstance(blob, bytes) for blob in blobs):
                raise WireError("heads: a list of signed heads expected")
            if not blobs:
                break
            try:
                moved = (await drive(self.chain.take(blobs, authority, now))) or moved
            except Orphan:
                # the node is on another branch: go back to where both may agree
                if start == self.chain.base.height + 1:
                    raise ChainError("previous", "the node's chain does not hold this board's base")
                start = max(self.chain.base.height + 1, start - 4 * BATCH)
                continue
            start += len(blobs)
        return self.chain.height if moved else None
