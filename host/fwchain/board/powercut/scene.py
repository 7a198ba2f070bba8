"""What a power cut is tried in: a network with a verification node, two releases, a board that runs the older one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fwchain import network as networks
from fwchain.board import provision
from fwchain.board.enrol import enrol
from fwchain.board.powercut import states
from fwchain.board.powercut.states import Operation
from fwchain.board.virtual import VirtualBoard
from fwchain.demo import firmware
from fwchain.demo.processes import Node, free_ports, fwchain
from fwchain.errors import HostError
from fwchain.events import Reader
from fwchain.vendor import signing

MODEL = "thermometer"
OLD, NEW = "1.0.0", "1.1.0"
KEYS = ("sk", "pk", "cert", "genesis")
REFERENCE_S = 180

# The application of both releases: the example's, which tries again at once what has failed. Hours between two tries
# are for the field; here they would only make the test wait.
IMPATIENT = "\nimport fwnode.update.failures\n\nfwnode.update.failures.WAITS = (0, 0, 0)\n"


class SceneError(HostError):
    """The update does not pass even with the power on: nothing to cut yet."""


class Scene:
    """Made in `folder`, which is new; `close` ends what runs. `filler`: bytes that make the new image larger."""

    def __init__(self, folder: Path, filler: int) -> None:
        self.folder = folder
        self.place = folder / "network"
        port = free_ports(4)
        fwchain(
            *("init", self.place, "--yes", "--name", "powercut", "--model", MODEL, "--port", port),
            *("--check-s", 1, "--set", f"lan.port={port + 3}"),
        )
        self.network = networks.load(self.place)
        self.node = Node(self.place, folder / "node.log")
        try:
            self._await_node()
            old = self._release(OLD, 0)
            self.new_image = self._release(NEW, filler).read_bytes()
            self._make_board(old.read_bytes())
            self._reference()
        except BaseException:
            self.node.stop()
            raise

    def close(self) -> None:
        """End the verification node."""
        self.node.stop()

    def _await_node(self) -> None:
        events = Reader(self.network.events)
        end = time.monotonic() + 60
        while not any(event["event"] == "serving" for event in events.read()):
            self.node.check()
            if time.monotonic() > end:
                raise SceneError("the verification node does not serve")
            time.sleep(0.05)

    def _release(self, version: str, size: int) -> Path:
        source = firmware.source(self.folder / "firmware", version, size)
        app = source / "app.py"
        app.write_text(app.read_text() + IMPATIENT)
        out = self.folder / "releases"
        metadata = out / f"{MODEL}-{version}.torrent"
        fwchain("release", "build", source, "--version", version, "--network", self.place, "--out", out)
        fwchain("release", "sign", metadata, "--network", self.place)
        fwchain("release", "publish", metadata, "--network", self.place)
        return out / f"{MODEL}-{version}.bin"

    def _make_board(self, image: bytes) -> None:
        release = signing.read(self.folder / "releases" / f"{MODEL}-{OLD}.torrent")
        with VirtualBoard.create(self.folder / "reference") as board:
            board.flash_image(0, image)
            enrol(board, self.network, release, group="", check_s=0.3, retry_s=0.3)
            self.start = board.flash.read(0, board.flash.size)
            self.keys = {name: provision.read_nvs(board.flash, board.table, "fwchain", name) for name in KEYS}

    def _reference(self) -> None:
        """The update with the power on: its operations, and what it leaves."""
        states.make_journal(self.folder / "reference" / "journal.bin")
        with VirtualBoard(self.folder / "reference") as board:
            board.start()
            self.reference_s = await_version(board, NEW, REFERENCE_S)
            board.stop()
            self.floor = provision.read_nvs(board.flash, board.table, "fwchain", "floor")
            if board.flash.violations:
                raise SceneError(f"{board.flash.violations} programs against NOR rules")
        self.operations: list[Operation] = states.read_journal(self.folder / "reference" / "journal.bin")


def await_version(board: VirtualBoard, version: str, timeout: float, seen: list[dict[str, Any]] | None = None) -> float:
    """Wait until the board says that it runs `version` and that it is current; returns the seconds. SceneError."""
    events = [] if seen is None else seen
    begun = time.monotonic()
    while time.monotonic() - begun < timeout:
        new = board.events()
        events += new
        if any(event["event"] == "current" and event.get("version") == version for event in new):
            return time.monotonic() - begun
        time.sleep(0.03)
    last = "\n".join(str(event) for event in events[-12:])
    raise SceneError(f"no {version} within {timeout:.0f} s; the last events were\n{last}")
