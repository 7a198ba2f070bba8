"""Case C2 on real boards, the long runs: repaired and updated by fellows while no verification node answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "system"))

from test_c2_boards import SELDOM, away
from update_support import Fleet

PATIENCE_S = 90


def test_c2_2_a_tampered_board_is_repaired_by_its_fellows(tmp_path: Path) -> None:
    with Fleet(tmp_path, confirmations=2) as fleet:
        old = fleet.release("1.0.0", size=300_000)
        fleet.publish(old)
        n_i = fleet.board(old, **{**SELDOM, "check_s": 10})  # a reset would end in the boot loader: it finds it, too
        boards = [n_i, *(fleet.board(old, **SELDOM) for _ in range(3))]
        away(fleet, *boards)
        n_i.flip(len(old.image) // 2)
        fleet.wait(n_i, "tampered")
        assert fleet.wait(n_i, "offered", version="1.0.0")["case"] == "C2-2"
        fetched = fleet.wait(n_i, "downloaded")
        assert {address.rsplit(":", 1)[0] for address in fetched["down"]} <= {board.ip for board in boards[1:]}
        fleet.wait(n_i, "repaired", version="1.0.0")


@pytest.mark.timeout(600)
def test_c2_3_and_c2_1_news_spreads_without_a_verification_node(tmp_path: Path) -> None:
    with Fleet(tmp_path, confirmations=1) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        first, asker, answerer = [fleet.board(old, **SELDOM) for _ in range(3)]
        for board in (first, asker, answerer):
            fleet.wait(board, "current", case="C1-1")
        asker.stop()
        answerer.stop()
        new = fleet.release("1.1.0", size=300_000)
        fleet.publish(new)
        first.reset()
        fleet.wait(first, "updated", version="1.1.0")
        fleet.wait(first, "current", version="1.1.0", case="C1-1")
        fleet.kill_node()
        asker.start()  # the asker is older
        assert fleet.wait(asker, "offered", version="1.1.0", timeout=PATIENCE_S)["case"] == "C2-3"
        fleet.wait(asker, "updated", version="1.1.0", timeout=PATIENCE_S)
        answerer.start()
        fleet.wait(answerer, "started")
        # by its own request, or by somebody's that knows better
        fleet.wait(answerer, "offered", version="1.1.0", timeout=PATIENCE_S)
        fleet.wait(answerer, "updated", version="1.1.0", timeout=PATIENCE_S)


def test_c2_1_a_board_that_answers_with_an_older_version_takes_the_newer_one(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        n_i, n_j = [fleet.board(old, **SELDOM) for _ in range(2)]
        for board in (n_i, n_j):
            fleet.wait(board, "current", case="C1-1")
        fleet.publish(fleet.release("1.1.0", size=300_000))
        n_i.reset()
        fleet.wait(n_i, "updated", version="1.1.0")
        fleet.wait(n_i, "current", version="1.1.0", case="C1-1")
        fleet.kill_node()
        n_i.reset()
        fleet.wait(n_j, "answered-fellow", outcome="outdated", why="1.1.0")
        assert fleet.wait(n_j, "offered", version="1.1.0")["case"] == "C2-1"
        fleet.wait(n_i, "ahead", case="C2-1")
        fetched = fleet.wait(n_j, "downloaded", version="1.1.0")
        assert {address.rsplit(":", 1)[0] for address in fetched["down"]} == {n_i.ip}
        fleet.wait(n_j, "updated", version="1.1.0")
