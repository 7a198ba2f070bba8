"""One board that is switched on after a power cut, and the judgement of what becomes of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fwchain.board import provision
from fwchain.board.powercut.scene import HEAP, KEYS, NEW, OLD, Scene, SceneError, await_version
from fwchain.board.powercut.states import Cut
from fwchain.board.runtime.vb import state as st
from fwchain.board.virtual import VirtualBoard

TIMEOUT_S = 60.0
BAD_EVENTS = ("no_boot", "panic", "main_ended")


@dataclass
class Outcome:
    """What became of one cut; `problems` is empty when all is well."""

    cut: Cut
    second: tuple[int, str] | None
    seconds: float = 0.0
    boots: int = 0
    cuts: int = 1
    problems: list[str] = field(default_factory=list)


class Bench:
    """A board's folder that is used again and again; each bench has an address of its own."""

    def __init__(self, scene: Scene, number: int) -> None:
        self.scene = scene
        folder: Path = scene.folder / f"bench-{number}"
        self.board = VirtualBoard.create(folder, heap=HEAP)  # its MAC, and so its address, follows from the folder
        self.lock = threading.Lock()

    def close(self) -> None:
        """Switch off."""
        self.board.close()

    def run(self, cut: Cut, flash: bytes, second: tuple[int, str] | None = None, timeout: float = TIMEOUT_S) -> Outcome:
        """Switch on with that flash; cut power again at operation `second` (number, phase), once."""
        outcome = Outcome(cut, second)
        board = self.board
        board.flash.mem[:] = flash
        st.put(board.flash.state, st.BOOTS, 0)
        st.put(board.flash.state, st.VIOLATIONS, 0)
        for name in ("console.log", "events.jsonl"):
            (board.folder / name).unlink(missing_ok=True)
        board.rewind()
        if second:
            board.cut_at(*second)
        events: list[dict[str, Any]] = []
        board.start(reboot_after_cut=True)
        try:
            outcome.seconds = await_version(board, NEW, timeout, events)
        except SceneError as error:
            outcome.problems.append(str(error))
        finally:
            board.stop()
            board.cut_at(None)
        self._judge(outcome, events)
        return outcome

    def _judge(self, outcome: Outcome, events: list[dict[str, Any]]) -> None:
        board, scene, problems = self.board, self.scene, outcome.problems
        outcome.boots = st.get(board.flash.state, st.BOOTS)
        outcome.cuts += sum(event["event"] == "power_cut" for event in events)
        for event in events:
            if event["event"] == "boot" and event["version"] not in (OLD, NEW):
                problems.append(f"booted {event['version']} from {event['slot']}")
            elif event["event"] in BAD_EVENTS:
                problems.append(f"{event['event']}")
        for name in KEYS:
            if provision.read_nvs(board.flash, board.table, "fwchain", name) != scene.keys[name]:
                problems.append(f"NVS {name} is not what it was")
        if problems:
            return
        floor = provision.read_nvs(board.flash, board.table, "fwchain", "floor")
        if floor != scene.floor:
            problems.append(f"rollback floor is {floor!r}, should be {scene.floor!r}")
        running = next(slot for slot in board.status()["slots"] if slot["running"])
        if running["state"] != "VALID" or running["version"] != NEW:
            problems.append(f"runs {running['version']} in state {running['state']}")
        elif board.flash.read(running["offset"], len(scene.new_image)) != scene.new_image:
            problems.append("the image in the slot is not the release's")
