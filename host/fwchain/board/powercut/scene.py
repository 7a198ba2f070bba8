"""What a power cut is tried in: a network with a verification node, two releases, a board that runs the older one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fwchain import network as networks
from fwchain import resources
from fwchain.board import boards, closure, compact, provision
from fwchain.board.enrol import enrol
from fwchain.board.image import build_image, collect
from fwchain.board.powercut import states
from fwchain.board.powercut.states import Operation
from fwchain.board.virtual import VirtualBoard
from fwchain.demo import firmware as firmware_
from fwchain.demo.processes import Node, free_ports, fwchain
from fwchain.errors import HostError
from fwchain.events import Reader
from fwchain.vendor import firmware, signing

MODEL = "thermometer"
OLD, NEW = "1.0.0", "1.1.0"
KEYS = ("sk", "pk", "cert", "genesis")
REFERENCE_S = 180
BLOCK_S = 1.0  # the reference run sees blocks, and keeps their headers
ARRIVED = ("confirmed", "current")

HEAP = 512 * 1024  # fwnode lies in littlefs here, which takes more heap than from an image

# What both releases change in fwnode, so that a test need not wait as the field does: file, text, other text.
# A heap that is not tight need not be collected after every 2 KB either, which takes a third of a run's time.
IMPATIENT = (
    ("update/failures.py", "WAITS = (3600, 6 * 3600, 24 * 3600)", "WAITS = (0, 0, 0)"),
    ("compat.py", "gc.threshold(threshold)", "gc.threshold(16 * threshold)"),
)


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
            *("--check-s", 1, "--set", f"lan.port={port + 3}", "--set", f"node.block_s={BLOCK_S}"),
        )
        self.network = networks.load(self.place)
        self.events = Reader(self.network.events)
        self.node = Node(self.place, folder / "node.log")
        try:
            self._await_node()
            old = self._release(OLD, 0)
            self.new_image = self._release(NEW, filler).read_bytes()
            self._make_board(old.read_bytes())
            self._reference()
            self._no_more_blocks()
        except BaseException:
            self.node.stop()
            raise

    def close(self) -> None:
        """End the verification node."""
        self.node.stop()

    def _await_node(self) -> None:
        end = time.monotonic() + 60
        while not any(event["event"] == "serving" for event in self.events.read()):
            self.node.check()
            if time.monotonic() > end:
                raise SceneError("the verification node does not serve")
            time.sleep(0.05)

    def _no_more_blocks(self) -> None:
        """A chain that grew with every run would make each run longer than the one before."""
        self.node.stop()
        config = self.place / "fwchain.toml"
        config.write_text(config.read_text().replace(f"block_s = {BLOCK_S}", "block_s = 3600.0"))
        self.node = Node(self.place, self.folder / "node.log")
        self._await_node()

    def _release(self, version: str, size: int) -> Path:
        source = firmware_.source(self.folder / "firmware", version, size)
        files = firmware.image_files(source, MODEL, version)
        image = self.folder / f"{version}.bin"
        build_image(MODEL, version, {p: d for p, d in files.items() if not p.startswith("fwnode/")}, image)
        out = self.folder / "releases"
        metadata = out / f"{MODEL}-{version}.torrent"
        words = ("--version", version, "--network", self.place, "--out", out)
        fwchain("release", "build", "--image", image, *words)
        fwchain("release", "sign", metadata, "--network", self.place)
        fwchain("release", "publish", metadata, "--network", self.place)
        fwnode = impatient(closure.needed(collect(resources.fwnode_folder())))
        self.library = {f"/lib/fwnode/{p}": d for p, d in compact.compiled(fwnode).items()}
        return image

    def _make_board(self, image: bytes) -> None:
        release = signing.read(self.folder / "releases" / f"{MODEL}-{OLD}.torrent")
        with VirtualBoard.create(self.folder / "reference", heap=HEAP) as board:
            board.flash_image(0, image)
            enrol(board, self.network, release, group="", check_s=0.3, retry_s=0.3)
            board.provision(self.library)
            self.start = board.flash.read(0, board.flash.size)
            self.keys = {name: provision.read_nvs(board.flash, board.table, "fwchain", name) for name in KEYS}

    def _reference(self) -> None:
        """The update with the power on: its operations, and what it leaves."""
        states.make_journal(self.folder / "reference" / "journal.bin")
        with VirtualBoard(self.folder / "reference") as board:
            board.start()
            self.reference_s = await_version(board, NEW, REFERENCE_S)
            board.supervisor.wait(1.0)  # what the first check after the trial writes is cut, too
            board.stop()
            self.floor = provision.read_nvs(board.flash, board.table, "fwchain", "floor")
            if board.flash.violations:
                raise SceneError(f"{board.flash.violations} programs against NOR rules")
        self.operations: list[Operation] = states.read_journal(self.folder / "reference" / "journal.bin")
        slots = boards.load("virtual").table.ota_slots
        self.slots = range(slots[0].offset, slots[-1].end)


def impatient(files: dict[str, bytes]) -> dict[str, bytes]:
    """fwnode's sources, with the changes of IMPATIENT."""
    found = dict(files)
    for path, old, new in IMPATIENT:
        text = found[path].decode()
        if old not in text:
            raise SceneError(f"fwnode/{path} has no {old!r} any more")
        found[path] = text.replace(old, new).encode()
    return found


def await_version(board: VirtualBoard, version: str, timeout: float, seen: list[dict[str, Any]] | None = None) -> float:
    """Wait until the board has confirmed `version`, or says that it is current; returns the seconds. SceneError."""
    events = [] if seen is None else seen
    begun = time.monotonic()
    while time.monotonic() - begun < timeout:
        new = board.events()
        events += new
        if any(event["event"] in ARRIVED and event.get("version") == version for event in new):
            return time.monotonic() - begun
        if any(event["event"] == "main_ended" for event in new):
            break  # nothing more will come
        time.sleep(0.03)
    last = "\n".join(str(event) for event in events[-12:])
    console = board.console()[-600:]
    raise SceneError(f"no {version} within {timeout:.0f} s; the last events were\n{last}\n{console}")
