"""Where a vendor publishes: `POST /releases`, body = length of M (4 bytes, big-endian), M, the files in order; and
recalls a release: `POST /recalls`, body = the signed statement.

The port speaks mutual TLS and takes only the vendor's certificate. The bytes are hashed as they arrive and put in
place only when M, its signatures and every byte hold; nothing half-written stays.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from fwnode.errors import FwError
from fwnode.trust import Untrusted
from fwnode.trust.recall import MAX_RECALL, Recall
from fwnode.trust.release import SLOT, Release
from fwnode.trust.root import Root
from fwnode.update.image import ImageError, chip_of, measure
from fwnode.wire import WireError
from fwnode.wire.fields import MAX_METAINFO

CHUNK = 65536
MAX_FIRMWARE = 64 << 20  # bytes of one release


class Refused(Exception):
    """A publication that is not taken; `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


Notice = Callable[[Release], Awaitable[None]]
RecallNotice = Callable[[Recall], Awaitable[bool]]


async def _nobody(release: Release) -> None:
    pass


async def _not_taken(recall: Recall) -> bool:
    raise Refused(404, "recalls are not taken here")


class Publisher:
    """Takes publications into `store`; `on_release(release)` is awaited once one is in place.

    `announce(release)` is awaited just before, and `withdraw(release)` when it could not be put in place after that.
    `on_recall(recall)` is awaited for a recall that the vendor signed; it returns whether that was news.
    """

    def __init__(
        self,
        store: ReleaseStore,
        root: Callable[[], Root],
        on_release: Notice,
        clock: Callable[[], float] = time.time,
        announce: Notice = _nobody,
        withdraw: Notice = _nobody,
        on_recall: RecallNotice = _not_taken,
    ) -> None:
        self.store = store
        self.root = root
        self.on_release = on_release
        self.clock = clock
        self.announce = announce
        self.withdraw = withdraw
        self.on_recall = on_recall
        self._placing = asyncio.Lock()

    def app(self) -> web.Application:
        """The application for the mutual-TLS port."""
        app = web.Application(client_max_size=MAX_FIRMWARE)
        app.router.add_post("/releases", self._post)
        app.router.add_post("/recalls", self._post_recall)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        return await self._answer(self._taken(request))

    async def _post_recall(self, request: web.Request) -> web.Response:
        return await self._answer(self._recalled(request))

    @staticmethod
    async def _answer(work: Awaitable[dict[str, object]]) -> web.Response:
        try:
            return web.json_response(await work)
        except Refused as error:
            return web.json_response({"error": str(error)}, status=error.status)
        except (OSError, sa.exc.SQLAlchemyError, FwError) as error:
            cause = getattr(error, "orig", None) or error
            return web.json_response({"error": f"the node cannot store the release: {cause}"}, status=503)

    async def _taken(self, request: web.Request) -> dict[str, object]:
        release = await self.take(request.content)
        return {"model": release.model, "version": release.version, "info_hash": release.info_hash.hex()}

    async def _recalled(self, request: web.Request) -> dict[str, object]:
        data = await request.content.read(MAX_RECALL + 1)
        try:
            recall = Recall(data)
            by_vendor = run(recall.check(self.root()))
        except WireError as error:
            raise Refused(400, str(error)) from None
        except Untrusted as error:
            raise Refused(403, str(error)) from None
        if not by_vendor:
            raise Refused(403, f"recall {recall.version}: not the vendor's, but a verification node's own")
        news = await self.on_recall(recall)
        return {"model": recall.model, "version": recall.version, "news": news}

    async def take(self, body: StreamReader) -> Release:
        """Read, check and put in place one publication, whole or not at all.

        Raises Refused; OSError, SQLAlchemyError or FwError when it cannot be stored now.
        """
        release = self._check(await self._metainfo(body))
        with tempfile.TemporaryDirectory(dir=self.store.folder, prefix="incoming-") as name:
            incoming = Path(name) / "files"
            await self._files(body, release, incoming)
            async with self._placing:
                self._refuse_known(release)  # another upload may have been faster
                await self._place(release, incoming)
        await self.on_release(release)
        return release

    async def _place(self, release: Release, incoming: Path) -> None:
        """The chain's queue first: who dies before the last step leaves what the vendor's next try finishes."""
        await self.announce(release)
        place = self.store.save_path(release)
        if self.store.by_info_hash(release.info_hash):  # the bytes are in place
            self.store.sign_anew(release)
            return
        try:
            if place.exists():  # left by a process that died between the move and the database
                shutil.rmtree(place)
            incoming.rename(place)
            self.store.add(release)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            with contextlib.suppress(FwError):
                await self.withdraw(release)
            raise

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
        self._refuse_known(release)
        return release

    def _refuse_known(self, release: Release) -> None:
        known = self.store.by_version(release.model, release.version)
        if known and known.verifier != release.verifier:
            raise Refused(409, f"{release.model} {release.version} is published already, with another verifier")
        if known and (known.body != release.body or self._counts(known)):
            raise Refused(409, f"{release.model} {release.version} is published already")
        same = self.store.by_info_hash(release.info_hash)
        if same and not known:
            raise Refused(
                409,
                f"{release.model} {release.version} has the same file as {same.model} {same.version}, by name and"
                " bytes, so the swarm could not tell them apart: give the file another name",
            )

    def _counts(self, known: Release) -> bool:
        """Whether its signatures are still enough; after a new trust root they may not be: then it is signed anew."""
        try:
            run(known.check(self.root(), None))
        except Untrusted:
            return False
        return True

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
        for (path, length), (name, target, _) in zip(self.store.files(release, folder), release.files, strict=True):
            if target == SLOT:
                self._image(path, length, name, release.platform)

    @staticmethod
    def _image(path: Path, length: int, name: str, platform: str) -> None:
        """Refuse what no boot loader starts, such as a merged flash image, before any board hears of it."""
        with path.open("rb") as file:

            def readinto(offset: int, buf: memoryview) -> None:
                file.seek(offset)
                file.readinto(buf)

            try:
                found = measure(readinto, length, chip_of(platform))
            except ImageError as error:
                raise Refused(400, f"{name}: {error}") from None
        if found.length != length:
            raise Refused(400, f"{name}: image: {found.length} bytes, but the file has {length}")
