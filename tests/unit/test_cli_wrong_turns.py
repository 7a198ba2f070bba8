"""A newcomer's wrong turns: each gets one clear line, an exit code, and nothing half-done."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from service_world import full_disk
from vendor_world import make_network, publishing, write_release

from fwchain.cli.app import run
from fwchain.config import FILE
from fwchain.vendor import signing

Output = pytest.CaptureFixture[str]


def line(capsys: Output) -> str:
    """The one line on standard error."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


def release_now(folder: Path) -> Path:
    import time

    return write_release(folder, issued=int(time.time()))


@pytest.mark.parametrize(
    "command",
    [["serve"], ["chain", "show"], ["chain", "verify"]],
)
def test_no_network_yet(command: list[str], tmp_path: Path, capsys: Output) -> None:
    assert run([*command, str(tmp_path / "nowhere")]) == 3
    assert "there is no network yet: make one with `fwchain init" in line(capsys)


def test_no_network_for_a_release(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = release_now(tmp_path / "release")
    assert run(["release", "sign", str(path)]) == 3
    assert "there is no network yet" in line(capsys)
    assert run(["release", "publish", str(path)]) == 3
    assert "there is no network yet" in line(capsys)


def test_a_folder_that_is_no_network(tmp_path: Path, capsys: Output) -> None:
    assert run(["serve", str(tmp_path)]) == 3
    assert "is no network folder" in line(capsys)


def test_a_network_twice(tmp_path: Path, capsys: Output) -> None:
    assert run(["init", str(tmp_path / "net"), "--yes"]) == 0
    capsys.readouterr()
    assert run(["init", str(tmp_path / "net"), "--yes"]) == 3
    assert "is a network already" in line(capsys)


def test_init_as_json(tmp_path: Path, capsys: Output) -> None:
    assert run(["init", str(tmp_path / "net"), "--yes", "--json", "--name", "attic"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["name"] == "attic" and len(row["genesis"]) == 64


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("lan.port=80", "lan.port: 80 is outside the limits 1024 to 65535"),
        ("lan.port=many", "lan.port: a whole number expected"),
        ("lan.prt=1", "lan.prt is no key"),
        ("lan", "is not SECTION.KEY=VALUE"),
        ("board.model=two words", "board.model: 'two words' is not printable ASCII without spaces"),
        ("node.address=my node", "node.address: 'my node' is not printable ASCII without spaces"),
        ("node.listen=0.0.0.0", "node.address: say under which address boards reach a node"),
    ],
)
def test_init_with_a_wrong_setting_makes_nothing(setting: str, text: str, tmp_path: Path, capsys: Output) -> None:
    assert run(["init", str(tmp_path / "net"), "--yes", "--set", setting]) == 3
    assert text in line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_typing_error_in_the_configuration(tmp_path: Path, capsys: Output) -> None:
    net = make_network(tmp_path / "net")
    path = net.folder / FILE
    path.write_text(path.read_text().replace("port = 4567", "port = 456700"))
    assert run(["serve", str(net.folder)]) == 3
    assert "node.port: 456700 is outside the limits 1 to 65535" in line(capsys)


@pytest.mark.parametrize("which", ["port", "publish_port", "seed_port"])
def test_a_port_that_is_taken(which: str, tmp_path: Path) -> None:
    from fwchain.demo.processes import free_ports

    first = free_ports(3)
    assert run(["init", str(tmp_path / "net"), "--yes", "--port", str(first)]) == 0
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", first + ["port", "publish_port", "seed_port"].index(which)))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "fwchain.cli.app", "serve", str(tmp_path / "net")],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
    assert done.returncode == 3, done.stderr
    assert "a port is taken" in done.stderr and f"change {which} of [node] in " in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_wrong_key_signs_nothing(tmp_path: Path, capsys: Output) -> None:
    net = make_network(tmp_path / "net")
    path = release_now(tmp_path / "release")
    key = net.key_files("enrolment")[0]
    assert run(["release", "sign", str(path), "--key", str(key), "--network", str(net.folder)]) == 4
    assert "enrolment.pem is the wrong key" in line(capsys)
    assert signing.read(path).signatures == []


def test_a_key_file_that_is_none(tmp_path: Path, capsys: Output) -> None:
    path = release_now(tmp_path / "release")
    assert run(["release", "sign", str(path), "--key", str(tmp_path / "no.pem")]) == 3
    assert "there is no such key file" in line(capsys)
    assert run(["release", "sign", str(path), "--key", str(path)]) == 3
    assert "no private key in PEM form" in line(capsys)


def test_an_encrypted_key_file(tmp_path: Path, capsys: Output) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = tmp_path / "key.pem"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert run(["release", "sign", str(release_now(tmp_path / "release")), "--key", str(key)]) == 3
    assert "the key is encrypted" in line(capsys)


def test_a_release_that_is_not_signed(tmp_path: Path, capsys: Output) -> None:
    net = make_network(tmp_path / "net")
    path = release_now(tmp_path / "release")
    with publishing(net) as taken:
        assert run(["release", "publish", str(path), "--network", str(net.folder)]) == 4
    assert "is not signed: sign it with `fwchain release sign`" in line(capsys)
    assert taken == []


def test_a_release_of_another_network(tmp_path: Path, capsys: Output) -> None:
    net = make_network(tmp_path / "net")
    other = make_network(tmp_path / "other")
    path = release_now(tmp_path / "release")
    signing.sign(path, other.key_files("vendor"), other)
    assert run(["release", "publish", str(path), "--network", str(net.folder)]) == 4
    assert "0 of 1 vendor signatures" in line(capsys)


def test_nobody_serves(tmp_path: Path, capsys: Output) -> None:
    net = make_network(tmp_path / "net")
    path = release_now(tmp_path / "release")
    signing.sign(path, net.key_files("vendor"), net)
    assert run(["release", "publish", str(path), "--network", str(net.folder)]) == 5
    assert "is `fwchain serve` running?" in line(capsys)


def test_building_from_the_wrong_folder(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "src").mkdir()
    command = ["release", "build", str(tmp_path / "src"), "--version", "1.0.0", "--model", "m"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 3
    assert "is no firmware folder: it has no app.py" in line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--version", "1.0"], "version"),
        (["--version", "1.0.0", "--rollout", "half"], "PERMILLE:SECONDS"),
        (["--version", "1.0.0", "--platform", "esp32"], "make firmware BOARD=esp32"),
    ],
)
def test_building_with_a_wrong_option(more: list[str], text: str, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    command = ["release", "build", str(tmp_path / "src"), "--model", "m", "--out", str(tmp_path / "out")]
    assert run([*command, *more]) in (1, 3)
    assert text in line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_merged_flash_image_instead_of_an_application(tmp_path: Path, capsys: Output) -> None:
    merged = tmp_path / "firmware.bin"
    merged.write_bytes(b"\xe9\x03" + bytes(0x6FFE) + b"\xaa\x50" + bytes(30000))
    command = ["release", "build", "--image", str(merged), "--version", "1.0.0", "--model", "m", "--platform", "esp32"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 1
    assert "full flash image" in line(capsys)


@pytest.mark.parametrize("command", ["status", "run", "reset"])
def test_a_folder_that_is_no_board(command: str, tmp_path: Path, capsys: Output) -> None:
    assert run(["board", command, str(tmp_path)]) == 3
    text = line(capsys)
    assert "is no virtual board" in text and "fwchain board new" in text


@pytest.mark.parametrize("command", [["status"], ["flip", "--slot", "0"]])
def test_a_board_without_partition_table(command: list[str], tmp_path: Path, capsys: Output) -> None:
    folder = str(tmp_path / "board")
    assert run(["board", "new", folder, "--blank"]) == 0
    capsys.readouterr()
    assert run(["board", command[0], folder, *command[1:]]) == 1
    assert "partition table: no entry (flash erased?)" in line(capsys)


def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    made = release_now(tmp_path / "release")
    signed = made.read_bytes()
    net = make_network(tmp_path / "net")
    for command, folder in (
        (["init", str(tmp_path / "new"), "--yes"], tmp_path / "new"),
        (["release", "build", str(tmp_path / "src"), "--version", "1.0.0", "--model", "m"], tmp_path / "out"),
        (["board", "new", str(tmp_path / "board")], tmp_path / "board"),
        (["release", "sign", str(made), "--network", str(net.folder)], made),
    ):
        more = ["--out", str(folder)] if command[1] == "build" else []
        with full_disk(100):
            assert run([*command, *more]) == 1
        text = line(capsys)
        assert str(folder) in text and "File too large" in text, text
        if folder.is_dir():
            assert list(folder.iterdir()) == [], command
    assert made.read_bytes() == signed


def test_one_file_alone_gets_the_releases_own_name(tmp_path: Path, capsys: Output) -> None:
    """So that the same app.py can be released again, for another model or after a detour."""
    (tmp_path / "app.py").write_text("print('hello')\n")
    hashes = set()
    for model, version in (("lamp", "1.0.0"), ("lamp", "1.0.1"), ("fan", "1.0.0")):
        command = ["release", "build", "--path", str(tmp_path / "app.py"), "--version", version, "--model", model]
        assert run([*command, "--platform", "esp32", "--out", str(tmp_path / "out"), "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert [(file["name"], file["target"]) for file in row["files"]] == [(f"{model}-{version}-app.py", "app.py")]
        assert (tmp_path / "out" / f"{model}-{version}-app.py").exists()
        hashes.add(row["info_hash"])
    assert len(hashes) == 3


def test_the_way_through(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """build, sign, show, publish, with ./network and ./release as the defaults have it."""
    monkeypatch.chdir(tmp_path)
    net = make_network(tmp_path / "network")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("print('hello')\n")
    assert run(["release", "build", "src", "--version", "2.0.0", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["metadata"] == os.path.join("release", "thermometer-2.0.0.torrent")
    assert run(["release", "sign", row["metadata"]]) == 0
    assert run(["release", "show", row["metadata"]]) == 0
    shown = capsys.readouterr().out
    assert "vendor key 1" in shown and "magnet:?xt=urn:btih:" in shown
    import time

    with publishing(net, clock=time.time()) as taken:
        assert run(["release", "publish", row["metadata"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["info_hash"] == row["info_hash"]
    assert [release.version for release in taken] == ["2.0.0"]
