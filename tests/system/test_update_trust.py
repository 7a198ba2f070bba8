"""Trust that changes while boards are out there: new roots, retired keys (design: addition 5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from update_support import Fleet

from fwchain import keyfile, tls
from fwchain.board import provision
from fwchain.demo.processes import fwchain
from fwchain.errors import NotTrusted
from fwnode import crypto


def new_key(fleet: Fleet, name: str) -> Path:
    """A fresh key beside the network; the file of its public half has .pub behind it."""
    path = fleet.folder / f"{name}.pem"
    private = crypto.generate_key()
    keyfile.save(path, private)
    keyfile.save_public(path.with_name(path.name + ".pub"), private)
    return path


def take_over(fleet: Fleet, kind: str, path: Path) -> None:
    """Put the new key, and the certificate of its publishing channel, in the old one's place."""
    old = fleet.network.folder / "keys" / f"{kind}.pem"
    old.rename(fleet.folder / f"old-{kind}.pem")
    keyfile.save(old, keyfile.load(path))
    certificate = tls.certificate(keyfile.load(path), kind, fleet.config.address, 1_700_000_000)
    (fleet.network.folder / "tls" / f"{kind}.crt").write_bytes(certificate)


def test_three_rotations_at_once_and_a_stolen_vendor_key_that_signs_nothing_more(tmp_path: Path) -> None:
    """One board is there for each rotation, the other was off for all three and catches up step by step; and first of
    all, before it believes what the retired key signed.
    """
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        there, away = fleet.board(only, "there"), fleet.board(only, "away")
        for board in (there, away):
            fleet.wait(board, "current")
        away.stop()

        stolen = fleet.release("1.1.0")
        fresh, spare = new_key(fleet, "vendor-2"), new_key(fleet, "root-2")
        take_over(fleet, "vendor", fresh)
        old = fleet.folder / "old-vendor.pem"
        for number, changes, keys in (
            (2, ("--add-root", f"{spare}.pub"), ("root.pem",)),
            (3, ("--days", "90"), ("root.pem",)),
            (4, ("--add-vendor", f"{fresh}.pub", "--revoke", str(old)), ("root.pem",)),
        ):
            assert fleet.rotate(*changes, keys=keys) == number
            fleet.wait_node("root", number=number)  # taken up without a restart
            fleet.wait(there, "root", number=number)
        fleet.wait(there, "current")

        with pytest.raises(NotTrusted, match="0 of 1 vendor signatures"):
            fleet.publish(stolen)
        fleet.smuggle(stolen)
        away.start()
        for number in (2, 3, 4):
            fleet.wait(away, "root", number=number)
        for board in (there, away):
            while "0 of 1 vendor signatures" not in fleet.wait(board, "failed")["why"]:
                pass  # an exchange that the restart cut off fails too
            assert board.status()["slots"][1]["version"] is None

        fleet.kill_node()
        fleet.serve()
        fleet.publish(fleet.release("1.2.0"))
        for board in (there, away):
            fleet.wait(board, "updated", version="1.2.0")


def test_a_board_follows_to_a_verification_node_whose_key_it_has_never_seen(tmp_path: Path) -> None:
    """Its old key was retired while the board was off: the answer is a stranger's until the board has the root."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        board = fleet.board(only)
        fleet.wait(board, "current")
        board.stop()
        fleet.kill_node()
        fresh = new_key(fleet, "node-2")
        take_over(fleet, "node", fresh)
        assert fleet.rotate("--add-node", f"{fresh}.pub", "--revoke", str(fleet.folder / "old-node.pem")) == 2
        fleet.serve()
        board.start()
        fleet.wait(board, "root", number=2)
        fleet.wait(board, "current")
        fleet.wait(board, "headers")  # by a checkpoint that the new key signed


def test_an_open_network_takes_a_board_without_certificate(tmp_path: Path) -> None:
    """As the paper has it: any key takes part; what is installed still needs the vendor's signature."""
    with Fleet(tmp_path, certified=False) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        assert provision.read_nvs(board.flash, board.table, "fwchain", "cert") is None
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0"))
        fleet.wait(board, "updated", version="1.1.0")
        fleet.wait(board, "current")
        board.stop()
        fleet.wait_node("block")
        fwchain("chain", "verify", fleet.network.folder)
        assert "current" in [row["outcome"] for row in fleet.rows()]
