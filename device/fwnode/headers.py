"""Keeps a board's header chain up with a verification node's, over HTTP (design: the chain)."""

from fwnode.chain.authority import Authority
from fwnode.chain.follow import MAX_ANSWER, Follower
from fwnode.chain.genesis import Genesis
from fwnode.chain.headers import HeaderChain
from fwnode.compat import drive
from fwnode.headers_file import RingFile
from fwnode.net.http import BadHttp, get
from fwnode.trust.root import Root


async def sync(url: str, files, now, local: str | None) -> int | None:  # type: ignore[no-untyped-def]
    """Take what is new in the chain of the verification node at `url` into the header chain's file; returns the new
    height, None when there was no news. `files` holds genesis and trust root, checked before. Raises FwError.
    """
    genesis = Genesis(files.read("genesis"))
    root = Root(files.read("root"))
    flash = RingFile(files.path("headers"))
    try:
        chain = HeaderChain(flash, genesis)
        follower = Follower(chain, Authority(root, genesis.certified), now)
        while follower.path:
            try:
                body = await get(url + follower.path, MAX_ANSWER, local)
            except BadHttp as error:
                if error.status != 404:
                    raise
                body = None
            await drive(follower.feed(body))
        return chain.height if follower.moved else None
    finally:
        flash.close()
