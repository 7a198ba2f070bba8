"""A maker's application beside the node: its hooks are asked, and its mistakes do not take the node with them."""

from __future__ import annotations

from pathlib import Path

from update_support import Fleet

from fwchain.board.enrol import enrol
from fwchain.board.virtual import VirtualBoard

HOLDS = """
VERSION = "held"
asked = []


def may_update(release):
    asked.append(release.version)
    return len(asked) > 2
"""

BROKEN_HOOKS = """
def may_update(release):
    return release.nonsense


def on_state(state, facts):
    raise ValueError("on " + state)
"""

BREAKS_THE_NODE = """
async def main(node):
    async def check():
        raise RuntimeError("out of order")

    node.check = check
"""

HAS_NO_ROOM_ONCE = """
async def main(node):
    ask = node.ask

    async def short():
        node.ask = ask
        raise MemoryError("no room")

    node.ask = short
"""


ALONE = """
import json


async def main(node):
    print(json.dumps({"event": "alive", "node": node is not None}))
"""


def test_may_update_holds_a_release_until_it_says_yes(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0", app=HOLDS)
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "started", app="held")
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0"))
        fleet.wait(board, "held", version="1.1.0")
        fleet.wait(board, "held", version="1.1.0")
        fleet.wait(board, "updated", version="1.1.0")


def test_hooks_that_raise_are_reported_and_the_node_goes_on(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0", app=BROKEN_HOOKS)
        fleet.publish(old)
        board = fleet.board(old)
        assert "on started" in fleet.wait(board, "error", what="on_state")["why"]
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0"))
        assert "nonsense" in fleet.wait(board, "error", what="may_update")["why"]
        fleet.wait(board, "held", version="1.1.0")


def test_a_node_that_breaks_begins_anew(tmp_path: Path) -> None:
    """Nobody can reach the board: an error that nobody thought of ends in a reset, not in silence."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0", app=BREAKS_THE_NODE)
        fleet.publish(only)
        board = fleet.board(only)
        fleet.wait(board, "started")
        assert "out of order" in fleet.wait(board, "error", what="node")["why"]
        fleet.wait(board, "started")


def test_an_application_runs_without_a_network_and_without_provisioning(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0", app=ALONE)
        fleet.publish(only)
        bare = VirtualBoard.create(tmp_path / "bare")
        bare.flash_image(0, only.image)
        fleet.boards.append(bare)
        bare.start()
        fleet.wait(bare, "alive", node=False)
        assert "not provisioned" in bare.console()

        board = VirtualBoard.create(tmp_path / "board")
        board.flash_image(0, only.image)
        enrol(board, fleet.network, only.release, check_s=0.5, retry_s=0.5)
        fleet.boards.append(board)
        board.wifi_down()
        board.start()
        fleet.wait(board, "alive", node=True)
        fleet.wait(board, "offline")
        board.wifi_down(False)
        fleet.wait(board, "started")
        fleet.wait(board, "current")


FASTER = """
import json


def on_state(state, facts):
    if state == "checking":
        from fwnode import crypto

        print(json.dumps({"event": "faster", "used": crypto.use_machine_code()}))
"""


def test_an_application_may_use_machine_code_for_the_nodes_checks(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0", app=FASTER)
        fleet.publish(old)
        board = fleet.board(old)
        assert fleet.wait(board, "faster")["used"] is True
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0", app=FASTER))
        fleet.wait(board, "updated", version="1.1.0")


def test_a_release_on_trial_outlives_a_heap_without_room(tmp_path: Path) -> None:
    """What a flood takes for a moment makes no good release crash, which would be refused after the second time."""
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0", app=HAS_NO_ROOM_ONCE))
        assert fleet.wait(board, "error", what="trial")["why"] == "no room"
        fleet.wait(board, "updated", version="1.1.0")
