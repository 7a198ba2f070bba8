"""A normal node's folder and what it holds: made whole or not at all, kept whatever ends the process, never older."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from service_world import MODEL, make_network

from fwchain import network as networks
from fwchain.board.image import build_image
from fwchain.cli.app import run as fwchain
from fwchain.config import Config
from fwchain.errors import NotTrusted, SetupError
from fwchain.network import Network
from fwchain.normal import folder as folders
from fwchain.normal.folder import Folder, Plan
from fwchain.normal.held import EMPTY
from fwchain.normal.holding import Holding
from fwchain.normal.nvs import FileNvs
from fwnode.compat import run
from fwnode.trust import making
from fwnode.trust.cert import Certificate
from fwnode.trust.release import Release
from fwnode.update import KeyStoreError, Refused, StorageError
from fwnode.update.boot import PENDING_M
from fwnode.update.keys import KeyStore


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return make_network(tmp_path_factory.mktemp("network") / "net")


def firmware(network: Network, version: str, **statement: Any) -> tuple[Release, bytes]:
    """A signed release of two files, and its stream."""
    image = build_image(MODEL, version, {"app.py": b"", "filler.bin": version.encode() * 9000})
    page = b"<html>" * 3000
    now = int(time.time())
    values = {"issued": now - 9, "expires": now + 9999, "epoch": 1, "trackers": [], "web-seeds": [], **statement}
    body = {"model": MODEL, "platform": "virtual", "version": version, **values}
    builder = making.Builder()
    builder.update(image + page)
    metainfo = builder.finish(body, [("fw.bin", "slot", len(image)), ("www/page.html", "page.html", len(page))])
    return Release(run(making.sign(metainfo, network.private("vendor")))), image + page


def beside(path: Path, release: Release, stream: bytes) -> Path:
    """M with its files beside it, as the vendor has them."""
    at = 0
    for name, _, length in release.files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(stream[at : at + length])
        at += length
    (path / "m.torrent").write_bytes(release.metainfo)
    return path / "m.torrent"


def stream_of(folder: Folder) -> bytes:
    """The bytes that it would seed."""
    held = bytearray(folder.held.stream.size)
    folder.held.stream.readinto(0, memoryview(held))
    return bytes(held)


def take(folder: Folder, release: Release, stream: bytes) -> None:
    """A whole installation, the download played."""
    holding = Holding(folder.held, release, MODEL, "virtual")
    holding.storage.write(0, memoryview(stream))
    run(holding.finish())


@pytest.fixture
def first(network: Network) -> tuple[Release, bytes]:
    return firmware(network, "1.0.0")


@pytest.fixture
def folder(network: Network, tmp_path: Path, first: tuple[Release, bytes]) -> Folder:
    made = folders.create(tmp_path / "node", network, Plan(release=beside(tmp_path / "vendor", *first)))
    run(made.held.check())
    return made


def test_what_a_node_is_made_of(network: Network, folder: Folder, first: tuple[Release, bytes]) -> None:
    kind, data = folder.credential
    certificate = Certificate(data)
    run(certificate.check(network.root, int(time.time())))
    assert (kind, certificate.model, certificate.public) == ("cert", MODEL, folder.keys.get("pk"))
    assert stat.S_IMODE((folder.path / "state" / "nvs.json").stat().st_mode) == 0o600
    held = folder.held
    assert (held.version, held.verifier, held.genuine) == ("1.0.0", first[0].verifier, True)
    assert stream_of(folder) == first[1] and not held.trial and not held.update_only
    config = folder.node_config
    assert config.nodes == [network.config.url] and config.group == network.config["lan"]["group"]
    again = folders.load(folder.path)
    run(again.held.check())
    assert again.held.verifier == first[0].verifier and again.keys.get("sk") == folder.keys.get("sk")
    assert not (folder.path / "keys").exists()  # the network's keys stay where they are


def test_a_node_without_a_release_holds_nothing(network: Network, tmp_path: Path) -> None:
    made = folders.create(tmp_path / "node", network, Plan())
    run(made.held.check())
    assert (made.held.version, made.held.verifier, made.held.genuine) == ("0.0.0", EMPTY, False)
    assert made.held.release is None and not made.held.update_only
    run(made.held.verify())
    assert made.held.verifier == EMPTY
    with pytest.raises(StorageError, match="holds no release"):
        made.held.stream.readinto(0, memoryview(bytearray(1)))


def test_a_newer_release_takes_the_place_of_the_one_before(network: Network, folder: Folder) -> None:
    release, stream = firmware(network, "1.1.0")
    take(folder, release, stream)
    for found in (folder, folders.load(folder.path)):
        run(found.held.check())
        assert (found.held.version, found.held.genuine) == ("1.1.0", True) and stream_of(found) == stream
        assert found.held.release.info_hash == release.info_hash
    assert [path.name for path in (folder.path / "releases").iterdir()] == [release.verifier[:8].hex()]


@pytest.mark.parametrize("step", ["put_record", "rename"])
def test_an_end_at_any_moment_of_holding_leaves_one_of_the_two(
    network: Network, folder: Folder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    release, stream = firmware(network, "1.1.0")

    class Ended(Exception):
        pass

    def end(*_: Any) -> None:
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(KeyStore if step == "put_record" else type(folder.files), step, end)
        with pytest.raises(Ended):
            take(folder, release, stream)
    after = folders.load(folder.path)
    run(after.held.check())
    assert after.held.genuine and after.held.version == ("1.0.0" if step == "put_record" else "1.1.0")
    if step == "put_record":
        take(after, release, stream)
    assert after.held.version == "1.1.0" and stream_of(after) == stream
    with pytest.raises(Refused, match="older"):
        Holding(after.held, firmware(network, "1.0.5")[0], MODEL, "virtual")


def test_what_is_never_taken(network: Network, folder: Folder, first: tuple[Release, bytes]) -> None:
    cases = {
        "same": first[0],
        "version": firmware(network, "0.9.0")[0],
        "epoch": firmware(network, "2.0.0", epoch=0)[0],
    }
    for reason, release in cases.items():
        with pytest.raises(Refused) as refused:
            Holding(folder.held, release, MODEL, "virtual")
        assert refused.value.reason == reason
    newer = firmware(network, "1.1.0")[0]
    for reason, model, platform in (("model", "toaster", "virtual"), ("platform", MODEL, "esp32")):
        with pytest.raises(Refused) as refused:
            Holding(folder.held, newer, model, platform)
        assert refused.value.reason == reason
    assert folder.files.read(PENDING_M) is None


def test_bytes_that_are_not_what_was_signed_are_not_held(network: Network, folder: Folder) -> None:
    release, stream = firmware(network, "1.1.0")
    wrong = stream[:-1] + bytes([stream[-1] ^ 1])
    with pytest.raises(StorageError, match="read back"):
        take(folder, release, wrong)
    assert folder.held.version == "1.0.0" and folder.held.genuine
    take(folder, release, stream)
    assert folder.held.version == "1.1.0"


def test_a_flipped_byte_is_seen_and_repaired_in_place(folder: Folder, first: tuple[Release, bytes]) -> None:
    release, stream = first
    path = Path(folder.held.slot(release).path)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    assert run(folder.held.verify()) is False and not folder.held.genuine
    take(folder, release, stream)
    assert folder.held.genuine and stream_of(folder) == stream


def test_a_full_disk_is_refused_before_the_first_byte(
    network: Network, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        f_bavail = 1
        f_frsize = 4096

    monkeypatch.setattr("fwchain.normal.holding.os.statvfs", lambda path: Full)
    with pytest.raises(Refused, match="free 4096"):
        Holding(folder.held, firmware(network, "1.1.0")[0], MODEL, "virtual")
    assert folder.files.read(PENDING_M) is None


def test_making_a_node_is_all_or_nothing(network: Network, tmp_path: Path, first: tuple[Release, bytes]) -> None:
    metadata = beside(tmp_path / "vendor", *first)
    image = tmp_path / "vendor" / "fw.bin"
    place = tmp_path / "node"
    for content in (b"something else", image.read_bytes()[:-1] + b"x"):
        image.write_bytes(content)
        with pytest.raises(NotTrusted, match="are not the ones that it was made of"):
            folders.create(place, network, Plan(release=metadata))
        image = beside(tmp_path / "vendor", *first).parent / "fw.bin"
    image.unlink()
    with pytest.raises(SetupError, match="no such file; the files of m.torrent lie beside it"):
        folders.create(place, network, Plan(release=metadata))
    with pytest.raises(SetupError, match="this node is for toaster"):
        folders.create(place, network, Plan(model="toaster", release=metadata))
    with pytest.raises(SetupError, match="no IPv4 address"):
        folders.create(place, network, Plan(address="node.example"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vendor"]
    folders.create(place, network, Plan())
    with pytest.raises(SetupError, match="is a node already"):
        folders.create(place, network, Plan())


def test_each_node_of_a_machine_has_an_address_of_its_own(network: Network, tmp_path: Path) -> None:
    """Its own datagrams, which come back to it, are told by that."""
    found = {folders.create(tmp_path / name, network, Plan()).config.address for name in ("a", "b")}
    assert len(found) == 2 and all(ip.startswith("127.") for ip in found)
    away = networks.create(tmp_path / "net", networks.Plan(config=Config({"node": {"address": "192.0.2.1"}})))
    with pytest.raises(SetupError, match="give --address"):
        folders.create(tmp_path / "c", away, Plan())
    made = folders.create(tmp_path / "c", away, Plan(address="192.0.2.7"))
    assert (made.config["node"]["listen"], made.config.address) == ("0.0.0.0", "192.0.2.7")


def test_wrong_turns_of_the_command(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "node"

    def fails(*words: object) -> tuple[int, str]:
        code = fwchain([str(word) for word in words])
        return code, capsys.readouterr().err

    assert fails("node", place) == (
        3,
        f"fwchain: {place}: there is no node yet: make one with `fwchain node {place} --network NETWORK`\n",
    )
    assert "no normal node's folder" in fails("node", network.folder)[1]
    assert "give --network, too" in fails("node", place, "--model", "x")[1]
    assert (
        "node.peers: 'ftp://x' is no URL"
        in fails("node", place, "--network", network.folder, "--set", "node.peers=ftp://x")[1]
    )
    assert not place.exists()
    assert fwchain(["node", str(place), "--network", str(network.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] is None
    (place / "state" / "nvs.json").write_text("{")
    code, text = fails("node", place)
    assert code == 3 and "nvs.json is damaged" in text


def test_a_genesis_of_another_network_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    other = make_network(tmp_path / "other")
    (folder.path / "genesis").write_bytes(other.genesis.data)
    (folder.path / "roots" / "1").write_bytes(other.root.data)
    with pytest.raises(NotTrusted, match="another network's"):
        folders.load(folder.path)


def test_the_key_store_over_a_file(tmp_path: Path) -> None:
    keys = KeyStore(FileNvs(tmp_path / "nvs.json"))
    assert keys.get("sk") is None and keys.record("run") is None
    keys.put("sk", bytes(32))
    keys.put_record("run", {"v": b"1.0.0"})
    with pytest.raises(KeyStoreError, match="limit 32 to 32"):
        keys.put("sk", b"short")
    again = KeyStore(FileNvs(tmp_path / "nvs.json"))
    assert again.get("sk") == bytes(32) and again.record("run") == {"v": b"1.0.0"}
    again.drop("run")
    again.drop("run")
    assert KeyStore(FileNvs(tmp_path / "nvs.json")).record("run") is None
    FileNvs(tmp_path / "nvs.json").set_blob("pk", b"x" * 65)  # not committed
    nvs = FileNvs(tmp_path / "nvs.json")
    with pytest.raises(OSError, match="NOT_FOUND"):
        nvs.get_blob("pk", bytearray(65))
    nvs.set_blob("sk", bytes(40))
    with pytest.raises(KeyStoreError, match="longer than 32"):
        KeyStore(nvs).get("sk")
