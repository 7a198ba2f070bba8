"""`fwchain backup` and `fwchain restore`: keys and store come back, and a damaged backup puts nothing in place."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwchain import backup as backups
from fwchain import network as networks
from fwchain.demo.processes import CommandFailed, Node, free_ports, fwchain
from fwchain.demo.watch import Expected, Watch
from fwchain.errors import HostError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """(network folder, backup made while its node ran and had a release in the chain)."""
    folder = tmp_path_factory.mktemp("backup")
    place = folder / "network"
    fwchain("init", place, "--yes", "--port", free_ports(4), "--set", "node.block_s=0.2")
    node = Node(place, folder / "node.log")
    try:
        watch = Watch(node.check)
        watch.add("node", networks.load(place).events)
        watch.expect({"node": [Expected("serving")]}, 60)
        image = folder / "release"
        fwchain("release", "build", _source(folder), "--version", "1.0.0", "--network", place, "--out", image)
        fwchain("release", "sign", image / "thermometer-1.0.0.torrent", "--network", place)
        fwchain("release", "publish", image / "thermometer-1.0.0.torrent", "--network", place)
        watch.expect({"node": [Expected("block")]}, 60)
        out = folder / "out" / "backup.tar.gz"
        said = json.loads(fwchain("backup", place, "--out", out, "--json"))
        assert said["network"] == "home"
    finally:
        node.stop()
    yield place, out


def _source(folder: Path) -> Path:
    source = folder / "firmware"
    source.mkdir()
    (source / "app.py").write_text("VERSION = '1.0.0'\n")
    return source


def test_everything_comes_back(made: tuple[Path, Path], tmp_path: Path) -> None:
    place, archive = made
    fwchain("restore", archive, tmp_path / "back")
    back = tmp_path / "back"
    for kind in ("root", "vendor", "enrolment", "node"):
        assert networks.load(back).private(kind) == networks.load(place).private(kind)
        (path,) = networks.load(back).key_files(kind)
        assert path.stat().st_mode & 0o777 == 0o600
    assert (back / "keys").stat().st_mode & 0o777 == 0o700
    assert archive.stat().st_mode & 0o777 == 0o600
    assert (back / "genesis").read_bytes() == (place / "genesis").read_bytes()
    released = sorted(path.relative_to(place) for path in (place / "releases").rglob("*.bin"))
    assert released
    for name in released:
        assert (back / name).read_bytes() == (place / name).read_bytes()
    assert fwchain("chain", "show", back, "--json") == fwchain("chain", "show", place, "--json")
    fwchain("chain", "verify", back)


def test_a_restored_node_serves_the_release(made: tuple[Path, Path], tmp_path: Path) -> None:
    back = tmp_path / "back"
    fwchain("restore", made[1], back)
    before = (back / "events.jsonl").stat().st_size
    node = Node(back, tmp_path / "node.log")
    try:
        end = time.monotonic() + 60
        while "1 releases" not in (tmp_path / "node.log").read_text() and time.monotonic() < end:
            node.check()
            time.sleep(0.1)
        assert "1 releases" in (tmp_path / "node.log").read_text()
        assert (back / "events.jsonl").stat().st_size > before
    finally:
        node.stop()


def test_nothing_is_written_over(made: tuple[Path, Path], tmp_path: Path) -> None:
    place, archive = made
    with pytest.raises(CommandFailed, match="not empty"):
        fwchain("restore", archive, place)
    with pytest.raises(CommandFailed, match="there already"):
        fwchain("backup", place, "--out", archive)
    with pytest.raises(CommandFailed, match="no such file"):
        fwchain("restore", tmp_path / "none.tar.gz", tmp_path / "x")


def _members(archive: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def _pack(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_damaged_backups_put_nothing_in_place(made: tuple[Path, Path], tmp_path: Path) -> None:
    raw = made[1].read_bytes()
    members = _members(made[1])
    key = next(index for index, (member, _) in enumerate(members) if member.name.endswith("node.pem"))
    flipped = [*members]
    flipped[key] = (members[key][0], members[key][1].replace(b"A", b"B", 1))
    outside = tarfile.TarInfo("network/../../outside")
    link = tarfile.TarInfo("network/link")
    link.type = tarfile.SYMTYPE
    link.linkname = "/etc/passwd"
    (tmp_path / "cut.tar.gz").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "text").write_text("no backup at all")
    cases = {
        "damaged": _pack(tmp_path / "flipped", flipped),
        "does not belong": _pack(tmp_path / "outside", [*members, (outside, b"x")]),
        "no manifest": _pack(tmp_path / "headless", members[1:]),
        "is missing": _pack(tmp_path / "short", members[:-1]),
        "no backup": tmp_path / "text",
        "damaged, or": tmp_path / "cut.tar.gz",
        "'network/link'": _pack(tmp_path / "link", [*members, (link, b"")]),
    }
    for words, path in cases.items():
        with pytest.raises(HostError, match=words.replace("no manifest", "no manifest.json")):
            backups.restore(path, tmp_path / "target")
        assert not (tmp_path / "target").exists()
    assert not (tmp_path / "outside-file").exists()
    assert not list(tmp_path.glob(".target-*"))
