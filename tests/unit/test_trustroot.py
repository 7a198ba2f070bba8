"""`fwchain root`: drafted, signed off line by several, published; and each way in which that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from service_world import make_network, serving, wait_until

from fwchain import keyfile, network, tls, trustroot
from fwchain.cli import app
from fwchain.config import Config
from fwchain.demo.processes import free_ports
from fwchain.network import Network, Plan
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import cert
from fwnode.trust.root import Root
from fwnode.wire.message import key_id


def made(folder: Path, **plan: int) -> Network:
    port = free_ports(3)
    node = {"port": port, "publish_port": port + 1, "seed_port": port + 2, "block_s": 0.2}
    return network.create(folder, Plan(config=Config({"node": node}), difficulty=100, **plan))  # type: ignore[arg-type]


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return made(tmp_path / "net", root_keys=3, root_threshold=2)


def fresh(folder: Path, name: str) -> Path:
    """A new key's file, its public half beside it."""
    assert app.run(["root", "key", str(folder / name)]) == 0
    return folder / name


def ident(path: Path) -> str:
    return key_id(keyfile.public(path)).hex()


def test_a_root_is_drafted_signed_by_several_off_line_and_published(tmp_path: Path, net: Network) -> None:
    alone = tmp_path / "root-1"  # all that a machine without network needs, besides a key
    alone.write_bytes(net.root.data)
    vendor = fresh(tmp_path, "vendor-2.pem")
    path = tmp_path / "next"
    words = ["root", "new", "--from", str(alone), "-o", str(path), "--add-vendor", f"{vendor}.pub"]
    assert app.run([*words, "--retire-vendor", str(net.key_files("vendor")[0])]) == 0
    for number in (1, 3):
        key = str(net.key_files("root")[number - 1])
        assert app.run(["root", "sign", str(path), "--key", key, "--from", str(alone)]) == 0
    assert app.run(["root", "publish", str(path), "-n", str(net.folder)]) == 0
    root = network.load(net.folder).root
    assert root.number == 2 and root.vendor_keys("any") == [keyfile.public(vendor)]
    assert root.nodes == net.root.nodes and root.enrolment == net.root.enrolment


def refusal(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> str:
    capsys.readouterr()
    assert app.run([str(word) for word in words]) == code
    return capsys.readouterr().err


def test_too_few_signatures_are_named(tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "next"
    assert app.run(["root", "new", "-n", str(net.folder), "-o", str(path)]) == 0
    assert app.run(["root", "sign", str(path), "--key", str(net.key_files("root")[0]), "-n", str(net.folder)]) == 0
    text = refusal(capsys, 4, "root", "publish", path, "-n", net.folder)
    assert "1 of 2 of the keys before it, 1 of 2 of its own" in text
    assert ident(net.key_files("root")[0]) not in text
    assert ident(net.key_files("root")[1]) in text and ident(net.key_files("root")[2]) in text
    assert len(network.load(net.folder).roots) == 1


def test_new_root_keys_sign_besides_the_old_ones(
    tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of the three old keys, and the threshold of the new ones, of which the stolen one is none."""
    path, other = tmp_path / "next", fresh(tmp_path, "root-4.pem")
    old = net.key_files("root")
    words = ["root", "new", "-n", net.folder, "-o", path, "--add-root", f"{other}.pub", "--retire-root", old[0]]
    assert app.run([str(word) for word in words]) == 0
    sign = ["root", "sign", str(path), "-n", str(net.folder), "--key"]
    for key in old[:2]:
        assert app.run([*sign, str(key)]) == 0
    assert "2 of 2 of the keys before it, 1 of 2 of its own" in refusal(
        capsys, 4, "root", "publish", path, "-n", net.folder
    )
    assert app.run([*sign, str(other)]) == 0
    assert app.run(["root", "publish", str(path), "-n", str(net.folder)]) == 0
    assert keyfile.public(old[0]) not in network.load(net.folder).root.keys


def test_a_stranger_signs_nothing(tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = tmp_path / "next", fresh(tmp_path, "stranger.pem")
    assert app.run(["root", "new", "-n", str(net.folder), "-o", str(path)]) == 0
    assert "no root key" in refusal(capsys, 4, "root", "sign", path, "-n", net.folder, "--key", other)


def test_the_number_must_be_the_next(tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    for path in (early, late):
        assert app.run(["root", "new", "-n", str(net.folder), "-o", str(path)]) == 0
        assert app.run(["root", "sign", str(path), "-n", str(net.folder)]) == 0
    assert app.run(["root", "publish", str(early), "-n", str(net.folder)]) == 0
    text = refusal(capsys, 3, "root", "publish", late, "-n", net.folder)
    assert "is root 2" in text and "root 3 is next" in text


def test_a_draft_that_leaves_too_few_keys_is_refused(
    tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor, node = net.key_files("vendor")[0], net.key_files("node")[0]
    new = ("root", "new", "-n", net.folder, "-o", tmp_path / "next")
    for words, text in (
        (("--revoke", vendor), "vendor-threshold: 1, but the new root has 0 vendor keys for model *"),
        (("--retire-node", node), "node-threshold: 1, but the new root has 0 node keys"),
        (("--root-threshold", "4"), "root-threshold: 4, but the new root has 3 root keys"),
        (("--vendor-threshold", "0"), "vendor-threshold: 0"),
        (("--retire-vendor", "ab" * 20), "is no vendor key of root 1"),
        (("--unrevoke", "ab" * 20), "is not revoked by root 1"),
        (("--add-root", net.key_files("root")[0]), "stands in root 1 already"),
        (("--add-vendor", "nonsense"), "neither a file nor a public key"),
        (("--revoke", "zz" * 20), "a key ID is 40 hexadecimal digits"),
    ):
        assert text in refusal(capsys, 3, *new, *words), text
    assert not (tmp_path / "next").exists()


def test_keys_and_boards_are_revoked_by_id_by_pem_and_by_certificate(tmp_path: Path, net: Network) -> None:
    board = crypto.public_key(crypto.generate_key())
    certificate = tmp_path / "board.cert"
    certificate.write_bytes(run(cert.issue(net.private("enrolment"), "thermometer", board, 2_000_000_000)))
    tls_file = net.folder / "tls" / "vendor.crt"
    other = crypto.public_key(crypto.generate_key())
    assert trustroot.identifier(str(certificate)) == key_id(board)
    assert trustroot.identifier(str(tls_file)) == key_id(crypto.public_key(net.private("vendor")))
    assert trustroot.identifier(key_id(other).hex()) == key_id(other)
    assert trustroot.public_key(other.hex()) == other
    words = ["root", "new", "-n", net.folder, "-o", tmp_path / "next", "--revoke", certificate, "--revoke"]
    assert app.run([str(word) for word in [*words, net.key_files("enrolment")[0]]]) == 0
    root = trustroot.read(tmp_path / "next")
    assert root.revoked == [key_id(board), key_id(crypto.public_key(net.private("enrolment")))]
    assert root.enrolment == [crypto.public_key(net.private("node"))]


def test_a_new_verification_node_may_renew_and_a_retired_one_still_has(tmp_path: Path, net: Network) -> None:
    """What it renewed holds on, so retiring its key for no fault costs no board its certificate."""
    node, old = fresh(tmp_path, "node-2.pem"), net.key_files("node")[0]
    words = [
        "root",
        "new",
        "-n",
        net.folder,
        "-o",
        tmp_path / "next",
        "--add-node",
        f"{node}.pub",
        "--retire-node",
        old,
    ]
    assert app.run([str(word) for word in words]) == 0
    root = trustroot.read(tmp_path / "next")
    assert root.nodes == [keyfile.public(node)]
    assert {keyfile.public(node), keyfile.public(old)} <= set(root.enrolment)


def test_show_says_what_changes_and_who_signed(
    tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "next"
    vendor = fresh(tmp_path, "v.pem")
    words = ["root", "new", "-n", net.folder, "-o", path, "--add-vendor", f"kettle={vendor}.pub", "--days", "10"]
    assert app.run([str(word) for word in words]) == 0
    assert app.run(["root", "sign", str(path), "--key", str(net.key_files("root")[1])]) == 0
    capsys.readouterr()
    assert app.run(["root", "show", str(path), "-n", str(net.folder), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["number"] == 2 and row["vendor_keys"]["kettle"] == [ident(vendor)]
    assert row["signatures_of_the_one_before"] == [1, 2] and row["own_signatures"] == [1, 2]
    assert row["signed_by"] == [ident(net.key_files("root")[1])]
    assert app.run(["root", "show", "-n", str(net.folder)]) == 0
    assert "expires" in capsys.readouterr().out


def rotate(net: Network, folder: Path, *words: object) -> Root:
    path = folder / "next"
    assert app.run([str(word) for word in ("root", "new", "-n", net.folder, "-o", path, *words)]) == 0
    assert app.run(["root", "sign", str(path), "-n", str(net.folder)]) == 0
    assert app.run(["root", "publish", str(path), "-n", str(net.folder)]) == 0
    return trustroot.read(path)


def test_a_node_that_runs_takes_the_root_up_and_withholds_what_the_stolen_key_signed(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    with serving(net) as site:
        release, content = site.release()
        assert site.publish(release, content).status == 200
        me = site.identity()
        ask = run(site.request(me, "0.9.0", bytes(32)).begin())[0][1]
        assert site.post(ask).status == 200
        fresh_key = fresh(tmp_path, "vendor-2.pem")
        old = net.key_files("vendor")[0]
        root = rotate(net, tmp_path, "--add-vendor", f"{fresh_key}.pub", "--revoke", old)
        event = wait_until(lambda: site.events("root"), "the new root")[0]
        assert event["number"] == 2 and event["withheld"] == ["thermometer 1.0.0"]
        assert site.get("/root/2").body == root.data
        assert site.post(ask).status == 403  # there is nothing to offer
        assert "root 2 wants other signatures" in site.get("/").text
        assert "fwchain_trust_root 2" in site.get("/metrics").text

        # the thief's way to the publishing port is shut; the new key's certificate opens it
        with pytest.raises(OSError):
            site.publish(release, content)
        certificate = tls.certificate(keyfile.load(fresh_key), "vendor", "127.0.0.1", 1_700_000_000)
        (net.folder / "tls" / "vendor.crt").write_bytes(certificate)
        old.rename(tmp_path / "stolen.pem")
        keyfile.save(old, keyfile.load(fresh_key))
        rotate(net, tmp_path)
        wait_until(lambda: len(site.events("root")) == 2, "root 3")
        again = site.sign("1.0.0", content, issued=release.issued, expires=release.expires)
        assert again.body == release.body
        assert site.publish(again, content).status == 200  # the same release, signed anew
        assert site.post(ask).status == 200
        assert site.publish(again, content).status == 409


def test_a_wrong_file_among_the_roots_is_told_once_and_changes_nothing(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    with serving(net) as site:
        (net.folder / "roots" / "2").write_bytes(b"junk")
        wait_until(lambda: site.events("error"), "an error")
        site.get("/metrics")
        assert site.service.exchange.root.number == 1
        (net.folder / "roots" / "2").unlink()
        rotate(net, tmp_path)
        wait_until(lambda: site.events("root"), "the right one")
        assert len(site.events("error")) == 1
