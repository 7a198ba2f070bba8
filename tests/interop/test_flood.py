"""A flood of hostile datagrams on the local network (docs/security.md, row 11): the board updates meanwhile, its budget
of elliptic curves kept, its heap bounded; and verifies with its fellows again afterwards.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "system"))

from hostile_support import Group, Hostile
from node_support import HostNode
from update_support import Fleet

from fwchain.board.virtual import VirtualBoard
from fwchain.events import Reader
from fwnode.broadcasts import BURST, CURVE_MS, WORK_MS

DATAGRAMS = 10_000  # that reach the board
MOST = 6 * DATAGRAMS  # sent; while it resets, nobody hears them
LIMIT_S = 240.0
AHEAD = 40  # datagrams under way to a board: so many fit into its socket
STALL_S = 0.3  # a board that takes none for so long is not waited for
VERIFIED_EACH = 4  # signatures of one message: a join's, its request's, and both certificates
COUNTING = Path(__file__).with_name("counting_app.py").read_text()


class Watched:
    """What a board with the counting application tells, boot by boot."""

    def __init__(self, board: VirtualBoard) -> None:
        self.reader = Reader(board.folder / "events.jsonl")
        self.boots: list[dict[str, Any]] = []
        self.events: Counter[str] = Counter()

    def read(self) -> Watched:
        for event in self.reader.read():
            self.events[event["event"]] += 1
            if event["event"] == "started":
                self.boots.append({"heard": 0, "ms": 0})
            elif event["event"] == "gate":
                self.boots[-1] = event
        return self

    @property
    def heard(self) -> int:
        """Datagrams that reached the board, over all its boots."""
        return sum(boot["heard"] for boot in self.boots)

    @property
    def updated(self) -> bool:
        return self.events["updated"] > 0


def flood(hostile: Iterator[tuple[str, bytes]], group: Group, watched: Watched) -> Counter[str]:
    """Send as fast as the board takes it, until it has taken enough and has updated; what was sent, by kind."""
    sent: Counter[str] = Counter()
    end = time.monotonic() + LIMIT_S
    lost = 0  # while it did not listen
    heard, since = 0, time.monotonic()
    while not (watched.heard >= DATAGRAMS and watched.updated):
        assert time.monotonic() < end and sent.total() < MOST, (watched.heard, watched.updated, sent)
        kind, data = next(hostile)
        group.send(data, sent.total())
        sent[kind] += 1
        while sent.total() - lost - watched.heard >= AHEAD:
            watched.read()
            if watched.heard > heard:
                heard, since = watched.heard, time.monotonic()
            elif time.monotonic() - since > STALL_S:
                lost = sent.total() - watched.heard - AHEAD // 2
                since = time.monotonic()
            else:
                time.sleep(0.002)
        watched.read()
    return sent


def test_an_update_through_a_flood_of_hostile_datagrams(tmp_path: Path) -> None:
    with Fleet(tmp_path, confirmations=1) as fleet:
        old, new = fleet.release("1.0.0", app=COUNTING), fleet.release("1.1.0", size=200_000, app=COUNTING)
        fleet.publish(old)
        nodes = [HostNode(fleet, number, old) for number in (1, 2)]
        try:
            for node in nodes:
                node.start().wait("current")
            board = fleet.board(old, check_s=5, retry_s=1)
            watched = Watched(board)
            fleet.wait(board, "current", case="C1-1")
            group = Group(fleet.network)
            firmware = [(one.release.version, one.release.verifier) for one in (old, new)]
            hostile = Hostile(fleet.network, firmware)
            fleet.publish(new)
            sent = flood(hostile.datagrams(), group, watched)
            group.close()
            fleet.wait(board, "updated", version="1.1.0")
            assert min(sent[name] for name in hostile.kinds()) >= DATAGRAMS // 20
            check(watched, board)
            for node in nodes:
                node.wait("updated", version="1.1.0")
                answer_only(node)
            # C2 afterwards: a verification node is away, and the fellows answer
            fleet.kill_node()
            assert fleet.wait(board, "current", case="C2-2", timeout=LIMIT_S)["confirmations"] == 1
        finally:
            assert [node.stop() for node in nodes] == [0, 0]
        check(watched.read(), board)


def answer_only(node: HostNode) -> None:
    """From now on this node checks once, and then has time for its fellows."""
    assert node.stop() == 0
    path = node.folder / "fwchain.toml"
    text = re.sub("^(check_s|retry_s) = [0-9]+", r"\1 = 3600", path.read_text(), flags=re.MULTILINE)
    path.write_text(text)
    node.start().wait("current", version="1.1.0")


def check(watched: Watched, board: VirtualBoard) -> None:
    """The budget of each boot, and that nothing ended but for the update."""
    assert len(watched.boots) == 2 == board.status()["boots"]
    assert "MemoryError" not in board.console() and "Traceback" not in board.console()
    for boot in watched.boots:
        assert boot["strangers"] <= BURST + boot["saved"] + boot["ms"] // CURVE_MS, boot
        assert boot["works"] <= 1 + boot["ms"] // WORK_MS, boot
        assert boot["verified"] <= VERIFIED_EACH * (boot["strangers"] + boot["members"]), boot
        assert boot["strangers"] > 0, boot
    assert sum(boot["verified"] for boot in watched.boots) > 0  # some got as far as a signature
