"""The main job on real parts: boards that run from their slots check, update, repair themselves and roll back."""

from __future__ import annotations

import sys
from pathlib import Path

from update_support import Fleet

from fwchain.board.image import filler
from fwchain.demo.processes import fwchain

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import heap

# an application that leaves no free block of 16 KiB on the heap before the node begins to work
FRAGMENTS = """
import gc

from build_info import VERSION

pins = []


def self_test():
    return True


async def main(node):
    pieces = [None] * 200
    count = 0
    try:
        while count < len(pieces):
            pieces[count] = bytearray(1024)
            count += 1
    except MemoryError:
        pass
    pins.extend(pieces[::12])
    del pieces
    gc.collect()
    try:
        bytearray(16 * 1024)
    except MemoryError:
        node.hooks.state("fragmented", pieces=count, free=gc.mem_free())
"""


def test_boards_update_from_the_seed_and_from_each_other(tmp_path: Path) -> None:
    """C1-1, then C1-2 with an image of 1.4 MiB in a heap of 192 KB; the version comes from the new application."""
    with Fleet(tmp_path, seed_upload=600_000) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        boards = [fleet.board(old) for _ in range(3)]
        for board in boards:
            fleet.wait(board, "current", version="1.0.0")
        new = fleet.release("1.1.0", size=1_330_000)
        assert len(new.image) > 1.4 * 1024 * 1024
        fleet.publish(new)
        sources: dict[str, int] = {}
        for board in boards:
            done = fleet.wait(board, "downloaded", version="1.1.0", timeout=120)
            assert sum(done["down"].values()) >= len(new.image)
            for ip, count in done["down"].items():
                sources[ip] = sources.get(ip, 0) + count
        own = {board.ip for board in boards}
        assert sum(count for ip, count in sources.items() if ip in own) > 0, sources
        for board in boards:
            fleet.wait(board, "started", version="1.1.0", app="1.1.0", slot="ota_1")
            fleet.wait(board, "confirmed", version="1.1.0")
            fleet.wait(board, "updated", version="1.1.0")
            fleet.wait(board, "current", version="1.1.0")
            assert board.status()["slots"][1]["state"] == "VALID"
        for board in boards:
            board.stop()
        fleet.wait_node("block")
        fwchain("chain", "verify", fleet.network.folder)
        outcomes = [row["outcome"] for row in fleet.rows()]
        assert outcomes.count("updated") == 3 and "current" in outcomes


def test_an_update_in_a_fragmented_heap(tmp_path: Path) -> None:
    """No free block reaches 16 KiB, and the whole of C1-2 still runs."""
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0", app=FRAGMENTS)
        fleet.publish(old)
        board = fleet.board(old)
        assert fleet.wait(board, "fragmented")["pieces"] > 40
        fleet.wait(board, "current", version="1.0.0")
        fleet.publish(fleet.release("1.1.0", size=1_330_000, app=FRAGMENTS))
        fleet.wait(board, "updated", version="1.1.0", timeout=120)


def test_what_stays_loaded_is_within_its_budget(tmp_path: Path) -> None:
    """38 KB of .mpy, so that fwnode takes at most 70 KB of an ESP32's heap."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0", app=heap.APP)
        fleet.publish(only)
        board = fleet.board(only)
        resident = set(fleet.wait(board, "heap", stage="current")["modules"])
    assert "fwnode.node" in resident
    assert sum(stays for stays, _ in heap.mpy_sizes(resident).values()) <= heap.BUDGET


def test_a_flipped_byte_is_found_and_repaired(tmp_path: Path) -> None:
    """C1-1 finds the tampered slot; the same version is installed anew, into the other slot."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0", size=200_000)
        fleet.publish(only)
        board = fleet.board(only)
        fleet.wait(board, "current", version="1.0.0")
        # in the filler: code is run in place, and damaged code would not get as far as a check
        board.flip(only.image.index(filler("tests 1.0.0", 200_000)) + 100_000, slot=0)
        fleet.wait(board, "tampered", version="1.0.0")
        fleet.wait(board, "started", version="1.0.0", slot="ota_1", genuine=True)
        fleet.wait(board, "repaired", version="1.0.0")
        fleet.wait(board, "current", version="1.0.0")
        assert board.read_image(1) == only.image
        fwchain("board", "flip", board.folder, "--slot", "running")
        fleet.wait(board, "tampered", version="1.0.0")
        fleet.wait(board, "repaired", version="1.0.0")
        assert board.read_image(0) == only.image
        board.stop()
        fleet.wait_node("block")
        outcomes = [row["outcome"] for row in fleet.rows()]
        assert outcomes.count("tampered") == 2


def test_a_broken_release_is_rolled_back_remembered_and_followed_by_a_good_one(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        good = fleet.release("1.0.0")
        fleet.publish(good)
        board = fleet.board(good)
        fleet.wait(board, "current", version="1.0.0")
        fleet.publish(fleet.release("1.2.0", broken=True))
        fleet.wait(board, "self-test", version="1.2.0", passed=False)
        fleet.wait(board, "started", version="1.0.0", slot="ota_0", genuine=True)
        fleet.wait(board, "rolled-back", version="1.2.0", why="check")
        fleet.wait(board, "refused", version="1.2.0", reason="failed")
        fleet.wait(board, "refused", version="1.2.0", reason="failed")
        fleet.publish(fleet.release("1.2.1"))
        fleet.wait(board, "updated", version="1.2.1")
        fleet.wait(board, "current", version="1.2.1")
        board.stop()
        fleet.wait_node("block")
        assert "rolled-back" in [row["outcome"] for row in fleet.rows()]
