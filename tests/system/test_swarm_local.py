"""Local discovery (BEP 14): boards of one network find each other with no tracker and no list of peers."""

from __future__ import annotations

import socket
from pathlib import Path

from swarm_support import Board, Made, assert_done, free_port

GROUP = "239.192.152.143"
LIMITS = {"tick_ms": 50, "lonely_ms": 6000}


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_boards_find_each_other(tmp_path: Path) -> None:
    made = Made(tmp_path)
    group = [GROUP, free_udp_port()]
    slot = tmp_path / "old.slot"
    slot.write_bytes(made.data + b"\xff" * (-len(made.data) % 4096))
    port = free_port("127.0.0.81")
    with Board(tmp_path, made, "old", ip="127.0.0.81", port=port, seed=True, fresh=False, group=group, stay=60) as old:
        old.wait("done")
        with Board(
            tmp_path, made, "new", ip="127.0.0.82", port=free_port("127.0.0.82"), group=group, limits=LIMITS
        ) as new:
            new.wait("done", "failed")
    assert_done(new, made)
    assert {"event": "local-peer", "ip": "127.0.0.81", "port": port} in new.events


def test_private_release_is_not_announced(tmp_path: Path) -> None:
    made = Made(tmp_path)
    limits = {"tick_ms": 50, "lonely_ms": 300}
    with Board(tmp_path, made, group=[GROUP, free_udp_port()], private=True, limits=limits) as board:
        board.wait("failed")
    assert board.of("no-local-discovery")[0]["why"] == "local discovery: the release is private"
