"""Who takes part: certificates that end and are renewed, boards that are revoked."""

from __future__ import annotations

import time
from pathlib import Path

from update_support import DAY_S, Fleet

from fwchain.board import provision
from fwchain.board.virtual import VirtualBoard
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import cert
from fwnode.trust.cert import Certificate
from fwnode.update.keys import NAMESPACE
from fwnode.wire.message import key_id


def certificate_of(board: VirtualBoard) -> Certificate:
    """The one in the NVS of a board that is off."""
    data = provision.read_nvs(board.flash, board.table, NAMESPACE, "cert")
    assert isinstance(data, bytes)
    return Certificate(data)


def ends(fleet: Fleet, board: VirtualBoard, seconds: int) -> Certificate:
    """Give a board that is off a certificate that ends so many seconds from now."""
    held = certificate_of(board)
    data = run(cert.issue(fleet.network.private("enrolment"), held.model, held.public, int(time.time()) + seconds))
    provision.write_nvs(board.flash, board.table, {NAMESPACE: {"cert": data}})
    return Certificate(data)


def test_a_certificate_that_ended_while_the_board_was_off_is_renewed_and_one_that_ended_long_ago_is_not(
    tmp_path: Path,
) -> None:
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        board = fleet.board(only)
        fleet.wait(board, "current")
        board.stop()
        ends(fleet, board, -91 * DAY_S)  # beyond the 90 days of grace
        board.start()
        fleet.wait_node("dropped")
        fleet.wait(board, "unanswered")
        board.stop()
        ends(fleet, board, -2 * DAY_S)
        board.start()
        fleet.wait(board, "certified")
        fleet.wait(board, "current")
        fleet.wait_node("log", outcome="current")  # under the new one: the old one's logs are refused
        board.stop()
        renewed = certificate_of(board)
        assert renewed.expires > time.time() + 1000 * DAY_S
        assert renewed.signer == key_id(crypto.public_key(fleet.network.private("node")))


def test_a_revoked_board_gets_no_answer(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        good, bad = fleet.board(only, "good"), fleet.board(only, "bad")
        for board in (good, bad):
            fleet.wait(board, "current")
        bad.stop()
        path = fleet.folder / "bad.cert"
        path.write_bytes(certificate_of(bad).data)
        bad.start()
        fleet.rotate("--revoke", str(path))
        fleet.wait_node("root", number=2)
        assert "revoked by root 2" in fleet.wait_node("dropped")["why"]
        fleet.wait(bad, "unanswered")
        fleet.wait(good, "root", number=2)
        fleet.wait(good, "current")
