"""A release's bytes from an HTTP server (BEP 19), for when peers fail or are slow; loaded only then."""

import asyncio

from fwnode.errors import FwError
from fwnode.net import http
from fwnode.swarm import SECTOR, SwarmError, bitfield

RUN = 8  # pieces in one request


class WebSeed:
    """Fetches runs of missing pieces by range requests until peers are better or nothing is missing."""

    def __init__(self, hub, url: str) -> None:  # type: ignore[no-untyped-def]
        self.hub = hub
        self.url = url
        self.host = "web " + http.split_url(url)[0]
        self.bits = bitfield.full(hub.release.piece_count)
        self.slot = memoryview(bytearray(SECTOR))
        self.fill = 0
        self.run_pieces = []  # type: list
        self.at = 0

    async def run(self) -> None:
        """Fetch; a server that fails or lies is not asked again by this download."""
        hub = self.hub
        hub.event("web-seed", url=self.url)
        try:
            while hub.missing and not hub.error:
                if not self._pick():
                    break
                await self._fetch()
        except (FwError, OSError, ValueError) as error:
            hub.reason("web seed: {}".format(error))
            if self.url in hub.web_seeds:
                hub.web_seeds.remove(self.url)
        except asyncio.CancelledError:
            pass
        finally:
            hub.pieces.leave(self)
            hub.web = None
            hub.fill_all()

    def _pick(self) -> bool:
        """Choose a run of pieces: missing ones in a row, else one that a peer is slow with."""
        pieces = self.hub.pieces
        first = pieces.pick(self)
        if not first:
            helped = [a for a in pieces.active.values() if not pieces.careful(a.index)]
            first = helped[0] if helped else None
            self.run_pieces = [first] if first else []
            return first is not None
        self.run_pieces = [first]
        while len(self.run_pieces) < RUN and self.run_pieces[-1].index + 1 in pieces.todo and not pieces.check_first:
            self.run_pieces.append(pieces.begin(self.run_pieces[-1].index + 1, self))
        return True

    async def _fetch(self) -> None:
        release = self.hub.release
        start = self.run_pieces[0].index * release.piece_length
        last = self.run_pieces[-1]
        end = last.index * release.piece_length + last.size
        self.at = 0
        self.fill = 0
        base = 0
        for name, _, length in release.files:
            low, high = max(start, base), min(end, base + length)
            if low < high:
                await http.fetch(
                    self._url(name), self._take, low - base, high - base, high - low, self.hub.local_ip, 8000
                )
            base += length

    def _url(self, name: str) -> str:
        release = self.hub.release
        url = self.url
        if len(release.files) > 1:
            return url + ("" if url.endswith("/") else "/") + _quote(release.name + "/" + name)
        return url + _quote(release.name) if url.endswith("/") else url

    async def _take(self, view) -> None:  # type: ignore[no-untyped-def]
        while view:
            active = self.run_pieces[0]
            want = min(SECTOR, active.size - self.at)
            part = view[: want - self.fill]
            self.slot[self.fill : self.fill + len(part)] = part
            view = view[len(part) :]
            self.fill += len(part)
            self.hub.count(self.host, len(part), 0)
            if self.fill == want:
                self.hub.store(self.host, active, self.at, self.slot[:want])
                self.fill = 0
                self.at += want
                if self.at == active.size:
                    self.at = 0
                    self.run_pieces.pop(0)
                await asyncio.sleep(0)
        if self.hub.error:
            raise SwarmError("the download has ended")


def _quote(path: str) -> str:
    return "".join([c if c.isalpha() or c.isdigit() or c in "-._~/" else "%{:02X}".format(ord(c)) for c in path])
