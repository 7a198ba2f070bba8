"""Normal nodes on this machine, as processes: `fwchain node` for each, beside a verification node and boards."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from update_support import Fleet, Update

from fwchain.demo.processes import NormalNode, free_ports, fwchain
from fwchain.events import Reader

WAIT_S = 60.0
POLL_S = 0.02
SETTINGS = {
    "board.check_s": 1,
    "normal.retry_s": 0.5,
    "node.sync_s": 0.5,
}


@dataclass
class Machine:
    """Another machine: its address, a port that is free there, and what a command begins with that is to run on it."""

    ip: str
    port: int
    inside: Sequence[str]


class HostNode:
    """One `fwchain node` and its folder."""

    def __init__(
        self, fleet: Fleet, number: int, holds: Update | None = None, machine: Machine | None = None, **settings: Any
    ) -> None:
        """Make the folder; `settings` are of fwchain.toml, "." written as "__". It runs here without `machine`."""
        self.folder = fleet.folder / f"node-{number}"
        self.machine = machine
        self.ip = machine.ip if machine else f"127.77.{number}.1"
        self.port = machine.port if machine else free_ports(1, self.ip)
        self.url = f"http://{self.ip}:{self.port}"
        values = {**SETTINGS, **{name.replace("__", "."): value for name, value in settings.items()}}
        words: list[object] = ["--address", self.ip, "--port", self.port]
        if holds is not None:
            source = fleet.folder / f"{holds.release.version}-for-{number}"
            source.mkdir()
            (source / "m.torrent").write_bytes(holds.release.metainfo)
            (source / "fw.bin").write_bytes(holds.image)
            words += ["--release", source / "m.torrent"]
        for name, value in values.items():
            words += ["--set", f"{name}={value}"]
        fwchain("node", self.folder, "--network", fleet.network.folder, *words)
        self.process: NormalNode | None = None
        self.log = self.folder / "output.log"
        self.events = Reader(self.folder / "events.jsonl")
        self.waiting: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []

    def start(self) -> HostNode:
        """Run it, and wait until it listens."""
        inside = self.machine.inside if self.machine else ()
        self.process = NormalNode(self.folder, self.log, inside)
        self.wait("started")
        return self

    def stop(self) -> int:
        """End it as an operator does; its exit code."""
        return self.process.stop() if self.process is not None else 0

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()

    def wait(self, kind: str, timeout: float = WAIT_S, **fields: Any) -> dict[str, Any]:
        """Its next event with these fields."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            new = self.events.read()
            self.waiting += new
            self.seen += new
            while self.waiting:
                event = self.waiting.pop(0)
                if event["event"] == kind and all(event.get(key) == value for key, value in fields.items()):
                    return event
            if self.process is not None and kind != "stopped":
                self.process.check()
            time.sleep(POLL_S)
        tail = "\n".join(str(event) for event in self.seen[-12:])
        raise AssertionError(f"{self.folder.name}: no event {kind} {fields} within {timeout} s\n{tail}")


def outcomes(place: Path | str, *genesis: object) -> dict[str, int]:
    """The outcomes in a chain that `fwchain chain verify` finds good."""
    found: dict[str, int] = json.loads(fwchain("chain", "verify", place, "--json", *genesis))["outcomes"]
    return found


def set_peers(fleet: Fleet, *nodes: HostNode) -> None:
    """Let the verification node keep level with these nodes from its next start on."""
    path = fleet.network.folder / "fwchain.toml"
    text = path.read_text()
    assert 'peers = ""' in text
    urls = ", ".join(node.url for node in nodes)
    path.write_text(text.replace('peers = ""', f'peers = "{urls}"').replace("sync_s = 30.0", "sync_s = 0.5"))
