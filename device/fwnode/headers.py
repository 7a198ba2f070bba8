"""A board's header chain in flash: brought level with another node's over HTTP, and served to others (design: the
chain). Loaded on demand by fwnode.ledger.
"""

from fwnode.chain import ChainError
from fwnode.chain.genesis import Genesis
from fwnode.chain.header import hash_of
from fwnode.chain.headers import HeaderChain, Orphan
from fwnode.compat import drive
from fwnode.headers_file import RingFile
from fwnode.net.http import get
from fwnode.net.messages import BadHttp
from fwnode.wire.bencode import decode_dict, encode, put

RING = "headers"
HEAD = "head"  # the signed head of the tip
MAX_HEAD = 1024
BLOCK = "block"  # this board's own last block, until a verification node has it
BLOCK_ID = "block.id"  # its hash
BATCH = 32  # headers in one answer, as fwnode.chain.follow asks for them


class Headers:
    """The chain over `files`, which hold genesis and trust root, checked before; `close` it."""

    def __init__(self, files) -> None:  # type: ignore[no-untyped-def]
        self._files = files
        self._genesis = Genesis(files.read("genesis"))
        self._flash = RingFile(files.path(RING))
        self.chain = HeaderChain(self._flash, self._genesis)

    def close(self) -> None:
        """Close the ring's file."""
        self._flash.close()

    def _note(self, head: bytes) -> None:
        if self._files.read(HEAD, MAX_HEAD) != head:
            self._files.write(HEAD, head)

    async def sync(self, url: str, now, local: str | None) -> int | None:  # type: ignore[no-untyped-def]
        """Take what is new in the chain of the node at `url`; returns the new height, None when there was no news.
        Raises FwError.
        """
        from fwnode.chain.authority import Authority
        from fwnode.chain.follow import MAX_ANSWER, Follower
        from fwnode.trust.root import Root

        root = Root(self._files.read("root"))
        follower = Follower(self.chain, Authority(root, self._genesis.certified), now)
        while follower.path:
            try:
                body = await get(url + follower.path, MAX_ANSWER, local)
            except BadHttp as error:
                if error.status != 404:
                    raise
                body = None
            await drive(follower.feed(body))
        if follower.head:
            self._note(follower.head)
        return self.chain.height if follower.moved else None

    async def take(self, head: bytes, authority, now):  # type: ignore[no-untyped-def]
        """Take one announced signed head: whether it is the new tip, None when its parent is not known here."""
        try:
            moved = await drive(self.chain.take([head], authority, now))
        except Orphan:
            return None
        if moved:
            self._note(head)
        return moved

    def keep(self, block: dict) -> None:
        """Keep this board's own block, written part by part."""
        self._files.write_by(BLOCK, lambda write: put(block, write))
        self._files.write(BLOCK_ID, hash_of(block["head"]))

    def get(self, path: str):  # type: ignore[no-untyped-def]
        """The body of GET `path`, bytes or a file as (path, size); None when it is not here. Raises ValueError or
        ChainError for a bad one.
        """
        name, _, query = path.partition("?")
        if name == "/chain/genesis":
            return self._genesis.data
        if name.startswith("/chain/block/"):
            own = self._files.read(BLOCK_ID, 32)
            return self._files.whole(BLOCK) if own and own.hex() == name[13:] else None
        first, count = _range(query)
        first = max(first, self.chain.base.height + 1)
        if name == "/chain/headers":
            last = min(first + min(count, BATCH), self.chain.height + 1)
            return b"".join([self.chain.header(height) for height in range(first, last)])
        if name == "/chain/heads" and first == self.chain.height:
            return self._tip()
        return None

    def _tip(self) -> bytes | None:
        """The tip's signed head as a list of one."""
        head = self._files.read(HEAD, MAX_HEAD)
        if not head or hash_of(decode_dict(head, "head", MAX_HEAD)["head"]) != self.chain.hash:
            return None
        return encode([head])


def _range(query: str) -> tuple:
    """(from, count) of a query; raises ValueError."""
    values = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        values[key] = value
    first, count = int(values.get("from", "x")), int(values.get("count", "1"))
    if first < 0 or count < 1:
        raise ChainError("from", "a height and a count of at least 1 expected")
    return first, count
