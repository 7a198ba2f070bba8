"""Building and signing a release: reproducible, and what is no application image is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from vendor_world import NOW, image, make_network, write_release

from fwchain import keyfile, resources
from fwchain.errors import NotTrusted, SetupError
from fwchain.vendor import build, firmware, show, signing
from fwchain.vendor.build import BuildError, Statement
from fwnode import crypto
from fwnode.trust.release import Release
from fwnode.wire import WireError

EXAMPLE = resources.folder("examples") / "thermometer"


def statement(platform: str = "virtual", **more: object) -> Statement:
    return Statement("thermometer", platform, "1.0.0", NOW, NOW + 10, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def example() -> bytes:
    return firmware.build(EXAMPLE, "thermometer", "1.0.0")


def test_the_same_sources_give_the_same_bytes(tmp_path: Path, example: bytes) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(EXAMPLE, copy)
    (copy / "README.md").write_text("not part of the image")
    (copy / ".hidden").write_text("nor this")
    assert firmware.build(copy, "thermometer", "1.0.0") == example
    made = [build.metainfo(statement(), [("a.bin", "slot", example)]) for _ in range(2)]
    assert made[0] == made[1]


def test_another_version_gives_another_image(example: bytes) -> None:
    assert firmware.build(EXAMPLE, "thermometer", "1.0.1") != example


def test_the_image_carries_the_application_and_fwnode() -> None:
    files = firmware.image_files(EXAMPLE, "thermometer", "1.2.3")
    assert {"main.py", "app.py", "calibration.json", "build_info.py", "fwnode/__init__.mpy"} <= set(files)
    scope: dict[str, str] = {}
    exec(files["build_info.py"], scope)
    assert (scope["MODEL"], scope["VERSION"]) == ("thermometer", "1.2.3")


def test_esptool_accepts_the_image(tmp_path: Path, example: bytes) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(example)
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "image-info", str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1.0.0" in done.stdout
    assert "(valid)" in done.stdout


def test_a_folder_without_app_is_no_firmware(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no firmware folder: it has no app.py"):
        firmware.sources(tmp_path)
    with pytest.raises(SetupError, match="no such folder"):
        firmware.sources(tmp_path / "x")


def test_a_source_that_does_not_compile_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def f(:\n")
    with pytest.raises(firmware.FirmwareError, match=r"app\.py, line 1: SyntaxError"):
        firmware.build(tmp_path, "thermometer", "1.0.0")


def test_fwchains_own_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    (tmp_path / "main.py").write_text("")
    with pytest.raises(firmware.FirmwareError, match="main.py is fwchain's own"):
        firmware.sources(tmp_path)


def test_the_nodes_addresses_stand_in_the_release() -> None:
    data = image()
    release = Release(
        build.metainfo(statement(node_url="http://10.0.0.1:4567", trackers=["udp://t:1"]), [("a.bin", "slot", data)])
    )
    assert release.trackers == ["http://10.0.0.1:4567/announce", "udp://t:1"]
    assert release.web_seeds == [f"http://10.0.0.1:4567/firmware/{release.info_hash.hex()}/"]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda data: b"\xff" * 0x1000 + data, "full flash image"),
        (lambda data: b"\xe9" + bytes(0x7FFF) + b"\xaa\x50" + bytes(64), "full flash image"),
        (lambda data: b"hello" * 100, "magic"),
        (lambda data: data[:200], "at least 288"),
        (lambda data: data[:-100], "limit"),
        (lambda data: data + bytes(16), "cut it to that length"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "checksum"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "digest"),
        (lambda data: data[:12] + b"\x09" + data[13:], "chip id: 9, this board has 0"),
        (lambda data: b"", "is empty"),
    ],
)
def test_what_is_no_application_image_is_refused(example: bytes, spoil: object, text: str) -> None:
    with pytest.raises(BuildError, match=text):
        build.metainfo(statement(), [("a.bin", "slot", spoil(example))])  # type: ignore[operator]


def test_an_image_for_the_virtual_board_is_not_released_for_a_chip(example: bytes) -> None:
    with pytest.raises(BuildError, match="for the virtual board, the release is for platform esp32"):
        build.metainfo(statement("esp32"), [("a.bin", "slot", example)])


def test_an_unknown_platform_names_the_known_ones(example: bytes) -> None:
    with pytest.raises(BuildError, match="platform: esp8266 is none of esp32, "):
        build.metainfo(statement("esp8266"), [("a.bin", "slot", example)])


def test_an_image_larger_than_the_slot_is_refused() -> None:
    from fwchain.board.image import build_image, filler

    size = build.slot_size("virtual")
    assert size == 0x180000
    large = build_image("thermometer", "1.0.0", {"filler.bin": filler("x", size)}, slot_size=None)
    with pytest.raises(BuildError, match=f"a slot of platform virtual has {size}"):
        build.metainfo(statement(), [("a.bin", "slot", large)])


def test_path_files_follow_the_image(example: bytes) -> None:
    made = build.metainfo(statement(), [("a.bin", "slot", example), ("page.html", "www/page.html", b"<p>")])
    release = Release(made)
    assert release.files[1] == ("page.html", "www/page.html", 3)
    assert release.size == len(example) + 3


def test_signing_needs_no_network_folder(tmp_path: Path) -> None:
    path = write_release(tmp_path / "release")
    keyfile.save(tmp_path / "vendor.pem", crypto.generate_key())
    release = signing.sign(path, [tmp_path / "vendor.pem"])
    assert len(release.signatures) == 1
    assert Release(path.read_bytes()).signatures == release.signatures


def test_several_vendors_sign_one_after_the_other(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net", vendor_keys=2, vendor_threshold=2)
    path = write_release(tmp_path / "release")
    first, second = net.key_files("vendor")
    signing.sign(path, [first], net)
    with pytest.raises(NotTrusted, match="1 of 2 vendor signatures"):
        signing.check(signing.read(path), net, NOW)
    signing.sign(path, [first], net)  # again: still one signature
    release = signing.sign(path, [second], net)
    assert len(release.signatures) == 2
    signing.check(release, net, NOW)


def test_the_wrong_key_is_named(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    path = write_release(tmp_path / "release")
    with pytest.raises(NotTrusted, match=r"node\.pem is the wrong key: root 1 of network home"):
        signing.sign(path, net.key_files("node"), net)
    assert signing.read(path).signatures == []


def test_an_unsigned_release_says_what_to_do(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    with pytest.raises(NotTrusted, match="is not signed: sign it with `fwchain release sign`"):
        signing.check(signing.read(write_release(tmp_path / "release")), net, NOW)


def test_an_expired_release_is_refused(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    release = signing.sign(write_release(tmp_path / "release"), net.key_files("vendor"), net)
    with pytest.raises(NotTrusted, match="expired"):
        signing.check(release, net, NOW + 366 * 86400)


def test_what_is_no_release(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"d4:spam4:eggse")
    with pytest.raises(SetupError, match="is no release of fwchain"):
        signing.read(tmp_path / "x")
    with pytest.raises(SetupError, match="no such file"):
        signing.read(tmp_path / "y")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"version": "1.0"}, "version"),
        ({"rollout": (NOW, [(500, 0), (400, 10)])}, "rollout"),
        ({"trackers": ["ftp://x"]}, "trackers"),
        ({"epoch": -1}, "epoch"),
    ],
)
def test_a_statement_outside_the_limits_names_the_field(more: dict, text: str) -> None:
    values = {"model": "m", "platform": "virtual", "version": "1.0.0", "issued": NOW, "expires": NOW + 1, **more}
    with pytest.raises(WireError, match=text):
        build.metainfo(Statement(**values), [("a.bin", "slot", image())])


def test_facts_are_json_and_the_magnet_link_is_libtorrents(tmp_path: Path) -> None:
    import libtorrent

    net = make_network(tmp_path / "net")
    path = write_release(tmp_path / "release", node_url="http://127.0.0.1:4567", rollout=(NOW, [(50, 0), (1000, 60)]))
    release = signing.sign(path, net.key_files("vendor"), net)
    row = json.loads(json.dumps(show.facts(release, net)))
    assert row["signatures"][0]["known_as"] == "vendor key 1"
    assert row["rollout"]["steps"] == [{"permille": 50, "after_s": 0}, {"permille": 1000, "after_s": 60}]
    parsed = libtorrent.parse_magnet_uri(row["magnet"])
    assert str(parsed.info_hashes.v1) == release.info_hash.hex()
    assert parsed.trackers == release.trackers and parsed.trackers
    assert parsed.url_seeds == release.web_seeds and parsed.url_seeds
    assert parsed.name == release.name
    assert str(libtorrent.torrent_info(str(path)).info_hashes().v1) == release.info_hash.hex()
