"""The web seed (BEP 19): the files of published releases under `/firmware/<info-hash>/`, with ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from aiohttp import web

from fwnode.trust.release import Release


class Releases(Protocol):
    """What the web seed needs of the node's store of releases."""

    def by_info_hash(self, info_hash: bytes) -> Release | None:
        """The release with this info-hash."""

    def files(self, release: Release) -> list[tuple[Path, int]]:
        """(path, length) of its files, in the stream's order."""


def web_seed_routes(releases: Releases) -> list[web.AbstractRouteDef]:
    """aiohttp routes; a path that is not a published file is 404, a range outside the file 416."""

    async def handle(request: web.Request) -> web.StreamResponse:
        text = request.match_info["info_hash"]
        try:
            info_hash = bytes.fromhex(text)
        except ValueError:
            info_hash = b""
        release = releases.by_info_hash(info_hash) if len(info_hash) == 20 else None
        if release is None:
            raise web.HTTPNotFound(text="no such release\n")
        names = [release.name] if len(release.files) == 1 else [f"{release.name}/{row[0]}" for row in release.files]
        wanted = request.match_info["name"]
        if wanted not in names:
            raise web.HTTPNotFound(text="no such file in this release\n")
        path, length = releases.files(release)[names.index(wanted)]
        try:
            size = path.stat().st_size
        except OSError:
            size = -1
        if size != length:
            raise web.HTTPServiceUnavailable(text="the file is not here now\n")
        headers = {
            "Content-Type": "application/octet-stream",
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return web.FileResponse(path, chunk_size=1 << 16, headers=headers)

    return [web.get("/firmware/{info_hash}/{name:.+}", handle)]
