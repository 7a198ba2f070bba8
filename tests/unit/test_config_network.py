"""The network folder: made whole or not at all, and checked when it is loaded."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fwchain import keyfile, network
from fwchain.config import Config
from fwchain.errors import SetupError
from fwchain.network import Plan
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import root as root_

NOW = 1_800_000_000


def test_a_new_network_pins_its_root(tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", Plan(name="attic"), NOW)
    assert net.name == "attic"
    assert net.genesis.time == NOW
    assert net.root.number == 1
    assert net.root.hash == net.genesis.root_hash
    assert net.root.nodes == [crypto.public_key(net.private("node"))]
    assert net.root.vendor_keys("any") == [crypto.public_key(net.private("vendor"))]
    assert net.root.enrolment == [crypto.public_key(net.private(kind)) for kind in ("enrolment", "node")]
    assert network.load(tmp_path / "net").genesis.hash == net.genesis.hash


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", Plan(), NOW)
    keys = sorted((net.folder / "keys").iterdir())
    assert [path.name for path in keys] == ["enrolment.pem", "node.pem", "root.pem", "vendor.pem"]
    for path in keys:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"BEGIN PRIVATE KEY" in path.read_bytes()


def test_thresholds(tmp_path: Path) -> None:
    plan = Plan(root_keys=3, root_threshold=2, vendor_keys=2, vendor_threshold=2)
    net = network.create(tmp_path / "net", plan, NOW)
    assert [path.name for path in net.key_files("root")] == ["root-1.pem", "root-2.pem", "root-3.pem"]
    assert (net.root.threshold, net.root.vendor_threshold) == (2, 2)
    assert len(net.root.signatures) == 3


@pytest.mark.parametrize("plan", [Plan(root_threshold=2), Plan(vendor_threshold=0), Plan(root_keys=17)])
def test_impossible_thresholds_are_refused(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(SetupError, match="threshold"):
        network.create(tmp_path / "net", plan)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="name"):
        network.create(tmp_path / "net", Plan(name="with space"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_network_is_not_overwritten(tmp_path: Path) -> None:
    network.create(tmp_path / "net", Plan(), NOW)
    with pytest.raises(SetupError, match="is a network already"):
        network.create(tmp_path / "net", Plan())


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(SetupError, match="not empty"):
        network.create(tmp_path, Plan())
    assert (tmp_path / "note").read_text() == "mine"


def test_no_network_yet(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="there is no network yet: make one with `fwchain init"):
        network.load(tmp_path / "nowhere")
    with pytest.raises(SetupError, match="is no network folder"):
        network.load(tmp_path)


def test_a_changed_root_is_found(tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", Plan(), NOW)
    other = network.create(tmp_path / "other", Plan(), NOW)
    (net.folder / "roots" / "1").write_bytes(other.root.data)
    with pytest.raises(SetupError, match="not the root 1 that genesis names"):
        network.load(net.folder)


def test_the_next_root_is_taken_when_both_signed_it(tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", Plan(), NOW)
    body = {
        "number": 2,
        "expires": net.root.expires,
        "root-keys": net.root.keys,
        "root-threshold": 1,
        "vendor-keys": net.root.vendors,
        "vendor-threshold": 1,
        "nodes": net.root.nodes,
        "node-threshold": 1,
        "enrolment-keys": net.root.enrolment,
        "revoked": [],
    }
    (net.folder / "roots" / "2").write_bytes(run(root_.build(body, [net.private("root")])))
    assert network.load(net.folder).root.number == 2
    (net.folder / "roots" / "2").write_bytes(run(root_.build(body, [net.private("vendor")])))
    with pytest.raises(SetupError, match="0 of 1 signatures"):
        network.load(net.folder)


def test_a_missing_key_says_which_and_where(tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", Plan(), NOW)
    (net.folder / "keys" / "vendor.pem").unlink()
    with pytest.raises(SetupError, match="the vendor key is not here; put it into"):
        net.private("vendor")


def test_database_is_relative_to_the_folder(tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", Plan(), NOW)
    assert net.database == f"sqlite:///{tmp_path / 'net' / 'node.db'}"
    net.config = Config({"node": {"database": "postgresql:///fwchain"}})
    assert net.database == "postgresql:///fwchain"


def test_an_ipv6_address_is_bracketed() -> None:
    assert Config({"node": {"listen": "::1"}}).url == "http://[::1]:4567"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"hello", "no private key in PEM form"), (b"", "no private key in PEM form")],
)
def test_a_file_that_is_no_key(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(content)
    with pytest.raises(SetupError, match=text):
        keyfile.load(path)


def test_key_round_trip(tmp_path: Path) -> None:
    private = crypto.generate_key()
    keyfile.save(tmp_path / "k.pem", private)
    assert keyfile.load(tmp_path / "k.pem") == private
    with pytest.raises(FileExistsError):
        keyfile.save(tmp_path / "k.pem", private)
