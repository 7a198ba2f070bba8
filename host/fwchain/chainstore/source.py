"""Where a chain is read from: a network folder's store, or a node over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from fwchain import network
from fwchain.chainstore.store import Store
from fwchain.errors import HostError, SetupError, Unreachable
from fwnode.chain.genesis import MAX_GENESIS, Genesis
from fwnode.chain.head import MAX_BLOCK
from fwnode.trust.root import MAX_ROOT

TIMEOUT_S = 20
MAX_FILE = 64 << 20
MAX_ROOTS = 4096


class Source(Protocol):
    """A chain that can be read block by block; nothing that it says is believed."""

    genesis: Genesis
    roots: list[bytes]

    def height(self) -> int:
        """The height of its best branch."""

    def tip(self) -> bytes:
        """The hash of its tip."""

    def block(self, height: int) -> bytes | None:
        """The encoded block of its best branch at this height."""

    def proof_file(self, digest: bytes) -> bytes | None:
        """The proof file of the record with this SHA-256."""


class FolderSource:
    """The chain store of a network folder, read in place while the node may be running."""

    def __init__(self, folder: Path | str) -> None:
        loaded = network.load(folder)
        prefix = "sqlite:///"
        if loaded.database.startswith(prefix) and not Path(loaded.database[len(prefix) :]).exists():
            raise SetupError(f"{folder} has no chain yet: start its node with `fwchain serve {folder}`")
        self.store = Store(loaded.database, loaded.genesis.data, [root.data for root in loaded.roots])
        self.genesis = self.store.genesis
        self.roots = self.store.roots

    def height(self) -> int:
        """The height of its best branch."""
        return self.store.tip().height

    def tip(self) -> bytes:
        """The hash of its tip."""
        return self.store.tip().hash

    def block(self, height: int) -> bytes | None:
        """The encoded block of its best branch at this height."""
        return self.store.block(height)

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

    def _tip(self) -> dict[str, Any]:
        try:
            told = json.loads(self._needed("/chain/tip", 8192))
            return {"height": int(told["height"]), "hash": bytes.fromhex(told["hash"])}
        except (ValueError, KeyError, TypeError) as error:
            raise HostError(f"{self._url}/chain/tip: no JSON of a tip") from error

    def height(self) -> int:
        """The height of its best branch."""
        return int(self._tip()["height"])

    def tip(self) -> bytes:
        """The hash of its tip."""
        return bytes(self._tip()["hash"])

    def block(self, height: int) -> bytes | None:
        """The encoded block of its best branch at this height."""
        return self._get(f"/chain/block/{height}", MAX_BLOCK)

    def proof_file(self, digest: bytes) -> bytes | None:
        """The proof file of the record with this SHA-256."""
        return self._get(f"/chain/proof/{digest.hex()}?file=1", MAX_FILE)


def open_source(place: str, pinned: bytes | None = None) -> Source:
    """The chain at `place`: a URL or a network folder."""
    if place.startswith(("http://", "https://")):
        return UrlSource(place, pinned)
    return FolderSource(place)


def blocks(source: Source, first: int, last: int) -> Iterator[bytes]:
    """The encoded blocks from height `first` to `last`, as far as the source gives them."""
    for height in range(first, last + 1):
        data = source.block(height)
        if data is None:
            return
        yield data
