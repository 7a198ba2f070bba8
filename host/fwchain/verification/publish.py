"""Where a vendor publishes: `POST /releases`, body = length of M (4 bytes, big-endian), M, the files in order.

The port speaks mutual TLS and takes only the vendor's certificate. The bytes are hashed as they arrive and put in
place only when M, its signatures and every byte hold; nothing half-written stays.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa
from aiohttp import StreamReader, web

from fwchain.verification.releases import ReleaseStore
from fwnode.compat import run
from fwnode.trust import Untrusted
from fwnode.trust.release import Release
from fwnode.trust.root import Root
from fwnode.wire import WireError
from fwnode.wire.fields import MAX_METAINFO

CHUNK = 65536
MAX_FIRMWARE = 64 << 20  # bytes of one release


class Refused(Exception):
    """A publication that is not taken; `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Publisher:
    """Takes publications into `store`; `on_release(release)` is awaited once one is in place."""

    def __init__(
        self,
        store: ReleaseStore,
        root: Callable[[], Root],
        on_release: Callable[[Release], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.root = root
        self.on_release = on_release
        self.clock = clock

    def app(self) -> web.Application:
        """The application for the mutual-TLS port."""
        app = web.Application(client_max_size=MAX_FIRMWARE)
        app.router.add_post("/releases", self._post)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        try:
            release = await self.take(request.content)
        except Refused as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except (OSError, sa.exc.SQLAlchemyError) as error:
            return web.json_response({"error": f"the node cannot store the release: {error}"}, status=503)
        return web.json_response(
            {"model": release.model, "version": release.version, "info_hash": release.info_hash.hex()}
        )

    async def take(self, body: StreamReader) -> Release:
        """Read, check and put in place one publication; raises Refused, OSError or SQLAlchemyError."""
        release = self._check(await self._metainfo(body))
        with tempfile.TemporaryDirectory(dir=self.store.folder, prefix="incoming-") as name:
            incoming = Path(name) / "files"
            await self._files(body, release, incoming)
            place = self.store.save_path(release)
            if place.exists():  # left by a process that died between the move and the database
                shutil.rmtree(place)
            incoming.rename(place)
            try:
                self.store.add(release)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
        await self.on_release(release)
        return release

    @staticmethod
    async def _metainfo(body: StreamReader) -> bytes:
        try:
            size = int.from_bytes(await body.readexactly(4), "big")
            if not 0 < size <= MAX_METAINFO:
                raise Refused(400, f"M: {size} bytes, limits 1 to {MAX_METAINFO}")
            return await body.readexactly(size)
        except EOFError:
            raise Refused(400, "the publication ended inside M") from None

    def _check(self, metainfo: bytes) -> Release:
        try:
            release = Release(metainfo)
            run(release.check(self.root(), int(self.clock())))
        except WireError as error:
            raise Refused(400, str(error)) from None
        except Untrusted as error:
            raise Refused(403, str(error)) from None
        if release.size > MAX_FIRMWARE:
            raise Refused(413, f"release: {release.size} bytes, limit {MAX_FIRMWARE}")
        known = self.store.by_version(release.model, release.version)
        if known and known.verifier != release.verifier:
            raise Refused(409, f"{release.model} {release.version} is published already, with another verifier")
        if known:
            raise Refused(409, f"{release.model} {release.version} is published already")
        return release

    async def _files(self, body: StreamReader, release: Release, folder: Path) -> None:
        whole = hashlib.sha256()
        for path, length in self.store.files(release, folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                left = length
                while left:
                    chunk = await body.read(min(CHUNK, left))
                    if not chunk:
                        raise Refused(400, f"the publication ended {left} bytes before the end of {path.name}")
                    whole.update(chunk)
                    out.write(chunk)
                    left -= len(chunk)
        if await body.read(1):
            raise Refused(400, f"there are bytes after the {release.size} that M announces")
        if whole.digest() != release.verifier:
            raise Refused(400, "the files do not have the verifier that M announces")
