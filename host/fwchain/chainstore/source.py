"""Where a chain is read from: a network folder's store, or a node over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from fwchain import network
from fwchain.chainstore.reader import MAX_HEADERS
from fwchain.chainstore.store import Store
from fwchain.errors import HostError, SetupError, Unreachable
from fwnode.chain import header
from fwnode.chain.genesis import MAX_GENESIS, Genesis
from fwnode.chain.head import MAX_BLOCK
from fwnode.trust.root import MAX_ROOT

TIMEOUT_S = 20
MAX_FILE = 64 << 20
MAX_ROOTS = 4096
MAX_HEIGHT = 1 << 24


class Source(Protocol):
    """A chain that can be read block by block; nothing that it says is believed."""

    genesis: Genesis
    roots: list[bytes]

    def hashes(self) -> list[bytes]:
        """The hashes of its best branch's blocks from height 1."""

    def block(self, digest: bytes) -> bytes | None:
        """The encoded block with this hash."""

    def proof_file(self, digest: bytes) -> bytes | None:
        """The proof file of the record with this SHA-256."""


class FolderSource:
    """The chain store of a network folder, read in place while the node may be running."""

    def __init__(self, folder: Path | str) -> None:
        loaded = network.load(folder)
        prefix = "sqlite:///"
        if loaded.database.startswith(prefix) and not Path(loaded.database[len(prefix) :]).exists():
            raise SetupError(f"{folder} has no chain yet: start its node (`fwchain serve` or `fwchain node`)")
        self.store = Store(loaded.database, loaded.genesis.data, [root.data for root in loaded.roots])
        self.genesis = self.store.genesis
        self.roots = self.store.roots

    def hashes(self) -> list[bytes]:
        """The hashes of its best branch's blocks from height 1."""
        return self.store.hashes()

    def block(self, digest: bytes) -> bytes | None:
        """The encoded block with this hash."""
        return self.store.block(digest)

    def proof_file(self, digest: bytes) -> bytes | None:
        """The proof file of the record with this SHA-256."""
        return self.store.proof_file(digest)


class UrlSource:
    """The chain of a node, by its URL (``http://host:port``); `pinned` is the genesis hash that it must have."""

    def __init__(self, url: str, pinned: bytes | None = None) -> None:
        self._url = url.rstrip("/")
        self.genesis = Genesis(self._needed("/chain/genesis", MAX_GENESIS), pinned)
        self.roots: list[bytes] = []
        while len(self.roots) < MAX_ROOTS:
            found = self._get(f"/root/{len(self.roots) + 1}", MAX_ROOT)
            if found is None:
                break
            self.roots.append(found)
        if not self.roots:
            raise Unreachable(f"{url}: it gives no trust root")

    def _get(self, path: str, limit: int) -> bytes | None:
        request = urllib.request.Request(self._url + path)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
                data: bytes = reply.read(limit + 1)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise Unreachable(f"{self._url}{path}: {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)
            raise Unreachable(f"{self._url}: {cause}; is its node running?") from error
        if len(data) > limit:
            raise HostError(f"{self._url}{path}: more than {limit} bytes")
        return data

    def _needed(self, path: str, limit: int) -> bytes:
        data = self._get(path, limit)
        if data is None:
            raise Unreachable(f"{self._url}{path}: not found; is this a node of fwchain?")
        return data

    def hashes(self) -> list[bytes]:
        """The hashes of its best branch's blocks from height 1."""
        found: list[bytes] = []
        while True:
            raw = self._needed(f"/chain/headers?from={len(found) + 1}", MAX_HEADERS * header.SIZE)
            if not raw:
                return found
            if len(raw) % header.SIZE or len(found) > MAX_HEIGHT:
                raise HostError(f"{self._url}/chain/headers: no headers")
            found += [header.hash_of(raw[at : at + header.SIZE]) for at in range(0, len(raw), header.SIZE)]

    def block(self, digest: bytes) -> bytes | None:
        """The encoded block with this hash."""
        return self._get(f"/chain/block/{digest.hex()}", MAX_BLOCK)

    def proof_file(self, digest: bytes) -> bytes | None:
        """The proof file of the record with this SHA-256."""
        return self._get(f"/chain/proof/{digest.hex()}?file=1", MAX_FILE)


def open_source(place: str, pinned: bytes | None = None) -> Source:
    """The chain at `place`: a URL or a network folder."""
    if place.startswith(("http://", "https://")):
        return UrlSource(place, pinned)
    return FolderSource(place)


def blocks(source: Source, hashes: list[bytes]) -> Iterator[bytes]:
    """The encoded blocks with these hashes; raises HostError when one is missing."""
    for digest in hashes:
        data = source.block(digest)
        if data is None:
            raise HostError(f"block {digest.hex()} is missing: it is named, but not given")
        yield data
