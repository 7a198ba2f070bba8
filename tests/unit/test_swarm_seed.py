"""The host's seed: libtorrent's session around releases, and the web seed's ranges and errors."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web

from fwchain.seed import Seed, SeedError, web_seed_routes
from fwchain.seed.seed import slots
from fwnode.wire.bencode import encode

DATA = bytes(range(256)) * 500
HASH = bytes(range(20))


def metainfo(name: str = "image.bin", size: int = len(DATA)) -> tuple[bytes, bytes]:
    """(metainfo, info-hash) of a release of DATA."""
    pieces = b"".join(hashlib.sha1(DATA[at : at + 32768]).digest() for at in range(0, size, 32768))
    info = {"name": name.encode(), "piece length": 32768, "pieces": pieces, "length": size}
    return encode({"info": info, "release": {"x": 1}}), hashlib.sha1(encode(info)).digest()


def test_seed_takes_and_drops_releases(tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(DATA)
    data, info_hash = metainfo()
    seed = Seed()
    try:
        seed.add(data, tmp_path)
        assert seed.port > 0 and seed.uploaded() == 0 == seed.uploaded(info_hash) == seed.peers(info_hash)
        seed.remove(info_hash)
        seed.remove(info_hash)
        assert seed.uploaded() == 0
    finally:
        seed.stop()


def test_seed_says_what_is_wrong(tmp_path: Path) -> None:
    data, _ = metainfo()
    seed = Seed()
    try:
        with pytest.raises(SeedError, match=r"image\.bin is missing or not 128000 bytes"):
            seed.add(data, tmp_path)
        (tmp_path / "image.bin").write_bytes(DATA[:-1])
        with pytest.raises(SeedError, match="not 128000 bytes long"):
            seed.add(data, tmp_path)
        with pytest.raises(SeedError, match="metainfo"):
            seed.add(b"d4:infode", tmp_path)
        with pytest.raises(SeedError, match=f"cannot listen on 127.0.0.1:{seed.port}"):
            Seed(port=seed.port)
    finally:
        seed.stop()


@pytest.mark.parametrize("wanted", [False, True])
def test_dht_and_local_discovery_are_options(wanted: bool) -> None:
    seed = Seed(dht=wanted, local_discovery=wanted)
    try:
        settings = seed._session.get_settings()
        assert settings["enable_dht"] is settings["enable_lsd"] is wanted
    finally:
        seed.stop()


def test_upload_slots_follow_the_limit() -> None:
    assert slots(0) == 64 and slots(100_000) == 4 and slots(1_000_000) == 4 and slots(10_000_000) == 40


class Store:
    """A store of one release in two files, and one in one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        one = SimpleNamespace(name="image.bin", files=[("image.bin", "slot", len(DATA))], size=len(DATA))
        two = SimpleNamespace(name="d-1.0.0", files=[("a.bin", "slot", 1000), ("x/b.txt", "b.txt", 5)], size=1005)
        self.known: dict[bytes, Any] = {HASH: one, bytes(20): two}
        (folder / "image.bin").write_bytes(DATA)
        (folder / "secret").write_bytes(b"secret")
        (folder / "d-1.0.0" / "x").mkdir(parents=True)
        (folder / "d-1.0.0" / "a.bin").write_bytes(DATA[:1000])
        (folder / "d-1.0.0" / "x" / "b.txt").write_bytes(b"hello")

    def by_info_hash(self, info_hash: bytes) -> Any:
        return self.known.get(info_hash)

    def files(self, release: Any) -> list[tuple[Path, int]]:
        if len(release.files) == 1:
            return [(self.folder / release.name, release.size)]
        return [(self.folder / release.name / name, length) for name, _, length in release.files]


def visit(folder: Path, requests: list[tuple[str, dict[str, str]]], many: int = 1) -> list[tuple[int, bytes, Any]]:
    """(status, body, headers) of each request, made `many` times at once."""

    async def run() -> list[tuple[int, bytes, Any]]:
        app = web.Application()
        app.add_routes(web_seed_routes(Store(folder)))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

        async def one(session: ClientSession, path: str, headers: dict[str, str]) -> tuple[int, bytes, Any]:
            async with session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer:
                return answer.status, await answer.read(), answer.headers

        async with ClientSession() as session:
            jobs = [one(session, path, headers) for path, headers in requests for _ in range(many)]
            results = await asyncio.gather(*jobs)
        await runner.cleanup()
        return list(results)

    return asyncio.run(run())


def test_web_seed_serves_files_and_ranges(tmp_path: Path) -> None:
    base = f"/firmware/{HASH.hex()}/image.bin"
    whole, part, tail = visit(
        tmp_path, [(base, {}), (base, {"Range": "bytes=32768-65535"}), (base, {"Range": "bytes=-5"})]
    )
    assert whole[:2] == (200, DATA)
    assert part[:2] == (206, DATA[32768:65536]) and part[2]["Content-Range"] == f"bytes 32768-65535/{len(DATA)}"
    assert tail[:2] == (206, DATA[-5:])
    multi = f"/firmware/{bytes(20).hex()}/d-1.0.0/"
    first, second = visit(tmp_path_two(tmp_path), [(multi + "a.bin", {}), (multi + "x/b.txt", {})])
    assert first[:2] == (200, DATA[:1000]) and second[:2] == (200, b"hello")


def tmp_path_two(tmp_path: Path) -> Path:
    folder = tmp_path / "two"
    folder.mkdir()
    return folder


def test_web_seed_errors(tmp_path: Path) -> None:
    base = f"/firmware/{HASH.hex()}"
    paths = [
        (f"/firmware/{'00' * 19}01/image.bin", 404),
        ("/firmware/xyz/image.bin", 404),
        (base + "/secret", 404),
        (base + "/../secret", 404),
        (base + "/%2e%2e%2fsecret", 404),
        (base + "/image.bin/x", 404),
        (base + "/", 404),
    ]
    answers = visit(tmp_path, [(path, {}) for path, _ in paths])
    assert [answer[0] for answer in answers] == [status for _, status in paths]
    assert all(b"secret" not in answer[1] for answer in answers)
    beyond = visit(tmp_path_two(tmp_path), [(base + "/image.bin", {"Range": f"bytes={len(DATA)}-"})])
    assert beyond[0][0] == 416


def test_web_seed_with_many_readers(tmp_path: Path) -> None:
    base = f"/firmware/{HASH.hex()}/image.bin"
    answers = visit(tmp_path, [(base, {"Range": "bytes=1-100000"})], many=60)
    assert all(answer[:2] == (206, DATA[1:100001]) for answer in answers)


def test_web_seed_whose_file_is_gone(tmp_path: Path) -> None:
    class Gone(Store):
        def __init__(self, folder: Path) -> None:
            self.folder = folder / "nowhere"
            self.known = {HASH: SimpleNamespace(name="image.bin", files=[("image.bin", "slot", 5)], size=5)}

    async def run() -> int:
        app = web.Application()
        app.add_routes(web_seed_routes(Gone(tmp_path)))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        url = f"http://127.0.0.1:{port}/firmware/{HASH.hex()}/image.bin"
        async with ClientSession() as session, session.get(url) as answer:
            status = answer.status
        await runner.cleanup()
        return status

    assert asyncio.run(run()) == 503
