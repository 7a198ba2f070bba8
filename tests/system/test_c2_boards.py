"""Case C2 on real boards while the verification node is away (paper 3.3.2): verified, repaired, updated by fellows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from update_support import Fleet

from fwchain.board.virtual import VirtualBoard

QUIET_S = 1.0
# A board asks when the test resets it.
SELDOM: dict[str, Any] = {"check_s": 1000, "retry_s": 25, "quiet_s": QUIET_S, "confirm_s": 12}


def away(fleet: Fleet, *boards: VirtualBoard) -> None:
    """Wait until each board has been answered once, then take the verification node away."""
    for board in boards:
        fleet.wait(board, "current", case="C1-1")
    fleet.kill_node()


def test_c2_2_fellows_verify_a_board_and_the_block_reaches_the_chain(tmp_path: Path) -> None:
    with Fleet(tmp_path, confirmations=2) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        boards = [fleet.board(old, **SELDOM) for _ in range(4)]
        away(fleet, *boards)
        n_i, others = boards[0], boards[1:]
        n_i.reset()
        found = fleet.wait(n_i, "current", case="C2-2")
        assert found["confirmations"] == 2
        n_j, made = fleet.wait_any(others, "block", logs=3)
        height = fleet.wait(n_i, "headers")["height"]
        for board in others:
            if board is not n_j:
                fleet.wait(board, "headers", height=height)
        fleet.serve()
        n_j.reset()
        taken = fleet.wait_node("block", source=n_j.ip)
        assert taken["hash"] == made["hash"] and taken["height"] == height
        while [row["outcome"] for row in fleet.rows()].count("confirmed") < 2:
            fleet.wait_node("block")  # a block of the verification node won: what was in n_j's comes in a later one
        n_i.reset()
        assert fleet.wait(n_i, "proven")["height"] > 0  # its own log, against the headers that it keeps
