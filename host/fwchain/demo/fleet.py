"""The network of `make demo-c2`: boards and host nodes that can be switched off and on one by one, and an ear on the
local network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from fwchain.board.provision import filesystem
from fwchain.demo.ear import Ear
from fwchain.demo.processes import NormalNode
from fwchain.demo.screen import Screen
from fwchain.demo.stage import START_S, Stage
from fwchain.demo.watch import Expected

CONFIG = "/fwchain/config.json"


class Fleet(Stage):
    """A stage with host nodes besides the boards."""

    ports = 6  # the verification node's three, the local network's, the boards', the host nodes'

    def __init__(self, folder: Path, screen: Screen) -> None:
        super().__init__(folder, screen)
        self.hosts: dict[str, NormalNode] = {}
        self.addresses: dict[str, str] = {}  # of the host nodes
        self.keys: set[bytes] = set()  # the public keys of boards and host nodes
        self.ear: Ear | None = None

    def check(self) -> None:
        """Raise when a process that must run has ended."""
        super().check()
        for host in self.hosts.values():
            host.check()

    def stop(self) -> None:
        """End every process."""
        for host in self.hosts.values():
            host.process.terminate()
        super().stop()
        for host in self.hosts.values():
            host.stop()
        if self.ear:
            self.ear.stop()

    # the verification node

    def stop_node(self) -> None:
        """The verification node goes away."""
        assert self.node is not None
        node, self.node = self.node, None
        node.stop()
        self.screen.say("the verification node is gone")

    # boards

    def switch_off(self, names: Iterable[str]) -> None:
        """Pull these boards' plugs."""
        for name in names:
            self.away.add(name)
            self.boards[name].stop()

    def switch_on(self, names: Iterable[str]) -> None:
        """Switch these boards on again."""
        for name in names:
            self.boards[name].start(reboot_after_cut=True)
            self.away.discard(name)

    def configure(self, names: Iterable[str], **changes: float) -> None:
        """Change values of the configuration of boards that are off."""
        for name in names:
            board = self.boards[name]
            disk = filesystem(board.flash, board.table)
            with disk.open(CONFIG, "rb") as file:
                values = json.loads(file.read())
            disk.unmount()
            board.provision({CONFIG: json.dumps({**values, **changes}).encode()})

    # host nodes

    def add_host(self, name: str, address: str, metadata: Path, *settings: str) -> None:
        """Make a host node that holds this release, and start it."""
        words = ("node", self.folder / name, "--network", self.place, "--address", address, "--port", self.port + 5)
        options = [word for setting in settings for word in ("--set", setting)]
        made = self.command(*words, "--release", metadata, *options, "--json")
        self.keys.add(bytes.fromhex(json.loads(made)["public"]))
        self.addresses[name] = address
        self.watch.add(name, self.folder / name / "events.jsonl")
        self.start_host(name)

    def start_host(self, name: str) -> None:
        """Start a host node's process, and wait for it."""
        self.watch.mark(name)
        self.screen.command("node", self.folder / name)
        self.hosts[name] = NormalNode(self.folder / name, self.folder / f"{name}.log")
        self.watch.expect({name: [Expected("started")]}, START_S)

    def stop_host(self, name: str) -> None:
        """End a host node's process."""
        self.hosts.pop(name).stop()
