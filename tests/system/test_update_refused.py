"""What a board refuses though its vendor signed it and its verification node offers it: nothing is erased for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from update_support import Fleet, Update

from fwchain.board import boards
from fwchain.board.image import filler
from fwchain.board.virtual import VirtualBoard
from fwchain.flashing.build import full_image

SLOT = 0x180000


def erases(board: VirtualBoard) -> int:
    """Sector erases of the slot that an update would go into."""
    return next(int(row["erases"]) for row in board.status()["wear"] if row["partition"] == "ota_1")


def test_what_a_stolen_verification_node_offers_is_refused_before_the_first_erase(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "current")
        too_large = filler("too large", SLOT + 4096)
        cases: list[tuple[Update, dict[str, Any]]] = [
            (fleet.sign_anything("1.1.0", fleet.release("1.1.0").image, platform="esp32"), {"reason": "platform"}),
            (fleet.release("1.1.1", epoch=0), {"reason": "epoch"}),
            (fleet.sign_anything("1.1.2", too_large), {"reason": "size"}),
        ]
        for update, wanted in cases:
            fleet.smuggle(update)
            fleet.wait(board, "refused", version=update.release.version, **wanted)
            assert erases(board) == 0
        fleet.smuggle(fleet.sign_anything("1.1.3", full_image(boards.load("virtual"), old.image)))
        assert "full flash image" in fleet.wait(board, "failed", version="1.1.3")["why"]
        fleet.wait(board, "refused", version="1.1.3", reason="failed")
        assert erases(board) == 0
        fleet.publish(fleet.release("1.1.4"))
        fleet.wait(board, "updated", version="1.1.4")
        assert erases(board) > 0


def test_a_verification_node_that_knows_only_an_older_version_is_an_error(tmp_path: Path) -> None:
    """Not an update, and not the word that all is well either."""
    with Fleet(tmp_path) as fleet:
        fleet.publish(fleet.release("1.0.0"))
        board = fleet.board(fleet.release("1.1.0"))
        fleet.wait(board, "started", version="1.1.0")
        assert "1.0.0 at most, 1.1.0 runs here" in fleet.wait(board, "failed")["why"]
        assert erases(board) == 0


def test_an_expired_release_is_refused(tmp_path: Path) -> None:
    """The node's signed time says so, whatever the board's own clock shows."""
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "current")
        now = int(time.time())
        fleet.smuggle(fleet.release("1.1.0", issued=now - 20_000, expires=now - 60))
        while "expired" not in fleet.wait(board, "failed")["why"]:
            pass  # an exchange that the restart cut off fails too
        assert erases(board) == 0
