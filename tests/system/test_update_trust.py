"""Trust that changes while boards are out there: new roots, retired keys (design: addition 5)."""

from __future__ import annotations

from pathlib import Path

from update_support import Fleet

from fwchain import keyfile
from fwchain.board import provision
from fwchain.demo.processes import fwchain
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import root as roots
from fwnode.wire.bencode import decode


def next_root(fleet: Fleet, **changes: object) -> None:
    """Write the network's next trust root, signed by its root key."""
    folder = fleet.network.folder / "roots"
    newest = max(int(path.name) for path in folder.iterdir())
    body = decode((folder / str(newest)).read_bytes())
    assert isinstance(body, dict)
    del body["signatures"]
    body.update({"number": newest + 1, **changes})
    (folder / str(newest + 1)).write_bytes(run(roots.build(body, [fleet.network.private("root")])))


def test_a_board_catches_up_root_by_root_and_obeys_the_newest(tmp_path: Path) -> None:
    """Three rotations while it was off; then the vendor key that root 4 retired signs for nothing."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        board = fleet.board(only)
        fleet.wait(board, "current")
        board.stop()
        fleet.kill_node()
        fresh = crypto.generate_key()
        for _ in range(2):
            next_root(fleet)
        next_root(fleet, **{"vendor-keys": {"*": [crypto.public_key(fresh)]}})
        fleet.serve()
        board.start()
        for number in (2, 3, 4):
            fleet.wait(board, "root", number=number)
        fleet.wait(board, "current")

        stolen = fleet.release("1.1.0")
        fleet.smuggle(stolen)
        while "0 of 1 vendor signatures" not in fleet.wait(board, "failed")["why"]:
            pass  # an exchange that the restart cut off fails too
        assert board.status()["slots"][1]["version"] is None

        path = fleet.network.folder / "keys" / "vendor.pem"
        path.unlink()
        keyfile.save(path, fresh)
        fleet.smuggle(fleet.release("1.2.0"))
        fleet.wait(board, "updated", version="1.2.0")


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
