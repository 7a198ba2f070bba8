"""The proofs of a board's own verification logs: that each stands in a block whose header the board keeps (design: the
chain). Loaded on demand.
"""

from fwnode.chain import ChainError
from fwnode.chain.inclusion import Inclusion
from fwnode.crypto import sha256
from fwnode.net.http import get
from fwnode.net.messages import BadHttp
from fwnode.unsent import PENDING

PROOF = "proof-{}"  # inclusions, the newest is 0
KEPT = 4
AT_ONCE = 2  # asked for after one check
MAX_PROOF = 4096


async def collect(files, chain, url: str, local: str | None) -> list:  # type: ignore[no-untyped-def]
    """Ask the node at `url` for proofs that are missing; returns the heights of the blocks that hold the logs.

    `chain` is the board's HeaderChain, level with that node's. Raises ChainError or WireError for a false proof, and
    NetError.
    """
    pending = files.read(PENDING) or b""
    proven = []
    for at in range(0, min(len(pending), 32 * AT_ONCE), 32):
        digest = pending[at : at + 32]
        try:
            data = await get("{}/chain/proof/{}".format(url, digest.hex()), MAX_PROOF, local)
        except BadHttp as error:
            if error.status == 404:  # not in a block yet, or not with this node
                break
            raise
        if Inclusion(data).height > chain.height:
            break  # a block came meanwhile, whose header comes with the next check
        height = check(data, digest, chain)
        if height is not None:
            keep(files, data)
            proven.append(height)
        files.write(PENDING, pending[at + 32 :])
    return proven


def check(data: bytes, digest: bytes, chain):  # type: ignore[no-untyped-def]
    """The height of the block that holds the log with this SHA-256, None when its header is kept no more; raises
    ChainError or WireError.
    """
    included = Inclusion(data)
    if sha256(included.leaf) != digest:
        raise ChainError("leaf", "a proof of another record")
    if included.height <= chain.base.height:
        return None
    included.check(chain.header(included.height))
    return included.height


def keep(files, data: bytes) -> None:  # type: ignore[no-untyped-def]
    """The newest proof, and up to three before it."""
    for index in range(KEPT - 1, 0, -1):
        files.rename(PROOF.format(index - 1), PROOF.format(index))
    files.write(PROOF.format(0), data)
