"""What a board's configuration can turn on for its updates: erasing by 64 KiB, and local discovery (BEP 14)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from update_support import Fleet

from fwchain.board.enrol import enrol
from fwchain.board.virtual import VirtualBoard

SECTOR = 4096
SIZE = 700_000  # of the new image's filler


def erases(board: VirtualBoard, size: int) -> list[int]:
    """How often each sector of the second slot's first `size` bytes was erased."""
    first = board.table.ota_slots[1].offset // SECTOR
    return board.flash.wear()[0][first : first + (size + SECTOR - 1) // SECTOR]


@pytest.mark.parametrize(("heap", "taken"), [(320 * 1024, True), (192 * 1024, False)])
def test_erasing_by_64_kib(tmp_path: Path, heap: int, taken: bool) -> None:
    """Where the heap has room for the buffer it is taken, else the board erases by sectors; once each in both cases."""
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = VirtualBoard.create(tmp_path / "wide", heap=heap)
        fleet.boards.append(board)
        board.flash_image(0, old.image)
        enrol(board, fleet.network, old.release, check_s=0.5, retry_s=0.5, wide_erase=True)
        board.start()
        fleet.wait(board, "wide-erase", taken=taken)
        fleet.wait(board, "current", version="1.0.0")
        new = fleet.release("1.1.0", size=SIZE)
        fleet.publish(new)
        fleet.wait(board, "updated", version="1.1.0")
        assert board.read_image(1) == new.image
        assert set(erases(board, len(new.image))) == {1}
        behind = erases(board, len(new.image) + 0xFFFF & ~0xFFFF)[(len(new.image) + SECTOR - 1) // SECTOR :]
        assert set(behind) <= {int(taken)}  # the rest of the last block goes with it
        assert board.flash.violations == 0


def test_boards_find_each_other_without_the_tracker(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with Fleet(tmp_path, seed_upload=60_000) as fleet:
        old, new = fleet.release("1.0.0"), fleet.release("1.1.0", size=SIZE)
        fleet.publish(old)
        fleet.publish(new)
        has = fleet.board(new, "has", discovery_port=port, upload_kbps=50)
        fleet.wait(has, "seeding", version="1.1.0")
        wants = fleet.board(old, "wants", discovery_port=port)
        fleet.wait(wants, "swarm-local-peer", ip=has.ip, port=fleet.config["board"]["port"])
        fleet.wait(wants, "updated", version="1.1.0")
        fleet.wait(wants, "seeding", version="1.1.0")
        assert wants.read_image(1) == new.image
