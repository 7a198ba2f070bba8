"""A board's part of the chain: headers, the signed head of its tip, and its own last block, all in flash.

What does the work (fwnode.headers) is loaded when it is needed. A whole node on a host gives its `Node` another ledger
with the same methods, over every block.
"""

from fwnode.compat import tidy
from fwnode.errors import FwError
from fwnode.gate import may_connect


class Ledger:
    """The chain as `node` keeps it."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        self.node = node

    def _open(self):  # type: ignore[no-untyped-def]
        tidy(2048)
        from fwnode.headers import Headers

        tidy()
        return Headers(self.node.boot.files)

    async def sync(self, url: str) -> None:
        """Take what is new in the chain of the node at `url`; a check is good without it."""
        node = self.node
        with node.rare:
            try:
                headers = self._open()
                try:
                    height = await headers.sync(url, node.clock.now(), node.local)
                    if height is not None:
                        node.hooks.state("headers", height=height)
                    from fwnode import proofs

                    for height in await proofs.collect(node.boot.files, headers.chain, url, node.local):
                        node.hooks.state("proven", height=height)
                finally:
                    headers.close()
            except (FwError, OSError) as error:
                node.hooks.state("error", what="headers", why=str(error))

    async def take_head(self, head: bytes, source: tuple, blocks) -> bool:  # type: ignore[no-untyped-def]
        """A block's signed head was announced by the node at `source`, (address, port); whether it was good news."""
        node = self.node
        headers = self._open()
        try:
            taken = await headers.take(head, blocks.authority, node.clock.now())
        finally:
            headers.close()
        if taken:
            node.hooks.state("headers", height=headers.chain.height)
        elif taken is None and may_connect(blocks.door.connected, source[0]):
            await self.sync("http://{}:{}".format(*source))
        return bool(taken)

    def link(self):  # type: ignore[no-untyped-def]
        """What a block on the tip needs to know (fwnode.chain.head.Link); raises ChainError."""
        headers = self._open()
        try:
            return headers.chain.tip()
        finally:
            headers.close()

    async def add_own(self, block: dict, head: bytes, blocks) -> bool:  # type: ignore[no-untyped-def]
        """Keep a block that this board made (not encoded yet) with its signed head; whether it is the new tip."""
        headers = self._open()
        try:
            headers.keep(block)
            return await headers.take(head, blocks.authority, None) is True
        finally:
            headers.close()

    def get(self, path: str):  # type: ignore[no-untyped-def]
        """The body of GET /chain/…, bytes or a file as (path, size); None when this board does not have it."""
        with self.node.rare:
            headers = self._open()
            try:
                return headers.get(path)
            except (FwError, OSError, ValueError):
                return None
            finally:
                headers.close()
