"""What every demo stands on: a folder, a network, its processes, and the logs by which each step is observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwchain import network as networks
from fwchain.board.enrol import enrol
from fwchain.board.virtual import VirtualBoard
from fwchain.demo import firmware
from fwchain.demo.processes import Node, free_ports, fwchain
from fwchain.demo.screen import Screen
from fwchain.demo.watch import Expected, Watch
from fwchain.errors import HostError
from fwchain.network import Network
from fwnode.trust.release import Release

MODEL = "thermometer"
HEAP = 192 * 1024
START_S = 60
CHECKED_S = 60


class Stage:
    """A demo in `folder`, which is new; `stop` ends all that it began."""

    ports = 4  # the verification node's three, the local network's

    def __init__(self, folder: Path, screen: Screen) -> None:
        self.folder = folder
        self.screen = screen
        self.network: Network
        self.node: Node | None = None
        self.boards: dict[str, VirtualBoard] = {}
        self.away: set[str] = set()  # boards that are switched off
        self.watch = Watch(self.check)
        self.port = free_ports(self.ports)

    @property
    def place(self) -> Path:
        """The network folder."""
        return self.folder / "network"

    def check(self) -> None:
        """Raise when a process that must run has ended."""
        if self.node:
            self.node.check()
        for name, board in self.boards.items():
            if name not in self.away and not board.supervisor.alive:
                raise HostError(f"{name} has ended: see {board.folder / 'console.log'}")

    def stop(self) -> None:
        """End every process."""
        for board in self.boards.values():
            board.close()
        if self.node:
            self.node.stop()

    def run(self) -> None:
        """Every step, in order; raises HostError when one is not observed."""
        raise NotImplementedError

    def hints(self) -> list[tuple[str, str]]:
        """(command, what it shows) for who looks around in the network that goes on."""
        raise NotImplementedError

    # what the steps are made of

    def command(self, *words: object) -> str:
        """Run a command and show it with what it prints."""
        self.screen.command(*words)
        text = fwchain(*words)
        self.screen.output(text)
        return text

    def init(self, check_s: int, *options: object, **settings: object) -> None:
        """`fwchain init`, with `settings` (section__key) in the configuration."""
        self.command(
            *("init", self.place, "--yes", "--name", "demo", "--model", MODEL, "--port", self.port),
            *("--check-s", check_s, *options, "--set", f"lan.port={self.port + 3}"),
            *(word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")),
        )
        self.network = networks.load(self.place)

    def serve_node(self) -> None:
        """`fwchain serve`, until it answers."""
        self.screen.command("serve", self.place)
        if "node" not in self.watch.history:
            self.watch.add("node", self.network.events)
        self.watch.mark("node")
        self.node = Node(self.place, self.folder / "node.log")
        self.watch.expect({"node": [Expected("serving")]}, START_S)
        self.screen.say(f"answers at {self.network.config.url}")

    def release(self, version: str, size: int = firmware.FILLER, is_broken: bool = False) -> Path:
        """Build, sign and publish a version; returns its image."""
        source = firmware.source(self.folder / "firmware", version, size, is_broken)
        out = self.folder / "releases"
        metadata = out / f"{MODEL}-{version}.torrent"
        self.command("release", "build", source, "--version", version, "--network", self.place, "--out", out)
        self.command("release", "sign", metadata, "--network", self.place)
        self.command("release", "publish", metadata, "--network", self.place)
        self.watch.expect({"node": [Expected("published", version=version)]}, CHECKED_S)
        return out / f"{MODEL}-{version}.bin"

    def add_board(self, name: str, image: bytes, release: Release, **changes: Any) -> bytes:
        """A virtual board that runs `release`, switched on; `changes` are of its configuration. Returns its key."""
        board = VirtualBoard.create(self.folder / name, heap=HEAP)
        board.flash_image(0, image)
        public = enrol(board, self.network, release, **changes)
        self.watch.add(name, board.folder / "events.jsonl")
        board.start(reboot_after_cut=True)
        self.boards[name] = board
        return public
