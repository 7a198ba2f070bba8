"""Local discovery (BEP 14) between boards and libtorrent, on the group and port that the BEP names."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "system"))

from swarm_support import Board, Client, Made, assert_done, free_port

from fwchain.seed import Seed

GROUP = ["239.192.152.143", 6771]
LIMITS = {"tick_ms": 50}


def test_a_board_finds_the_seed(tmp_path: Path) -> None:
    made = Made(tmp_path)
    with Board(tmp_path, made, ip="127.0.0.1", port=free_port(), group=GROUP, limits=LIMITS) as board:
        board.wait("listening")
        seed = Seed(local_discovery=True)
        seed.add(made.metainfo(), made.folder)
        board.wait("done", "failed")
    assert_done(board, made)
    assert board.of("local-peer")[0]["port"] == seed.port
    seed.stop()


def test_libtorrent_finds_a_board_that_seeds(tmp_path: Path) -> None:
    made = Made(tmp_path)
    (tmp_path / "board.slot").write_bytes(made.data + b"\xff" * (-len(made.data) % 4096))
    wish = {"ip": "127.0.0.1", "port": free_port(), "group": GROUP, "seed": True, "fresh": False, "stay": 60}
    with Board(tmp_path, made, limits=LIMITS, **wish) as board, Client(enable_lsd=True) as client:
        board.wait("done")
        client.add(made.metainfo(), tmp_path / "lt")
        client.finish()
    assert (tmp_path / "lt" / "image.bin").read_bytes() == made.data
