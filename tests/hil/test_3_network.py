"""The board against a verification node that this suite starts: every message of C1, updates, resume, repair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hil_board import FIRST, MODEL, Board

from fwchain import network as networks
from fwchain.demo.processes import Node, free_ports
from fwchain.demo.watch import Expected, Watch
from fwchain.flashing.respin import respin

CHECK_S = 2
SEED_UPLOAD = 60_000  # bytes a second: so slow that a download can be interrupted


@dataclass
class World:
    """The network that the board was provisioned for, and the image that it ran at first."""

    board: Board
    place: Path
    image: bytes
    node: Node

    def publish(self, version: str) -> int:
        """Publish a release that differs from the first in its version alone; returns its size.

        The board waits at its prompt meanwhile: it must not take the release before a test listens.
        """
        self.board.run("pass")
        folder = self.board.folder / "releases"
        folder.mkdir(exist_ok=True)
        image = folder / f"respun-{version}.bin"
        image.write_bytes(respin(self.image, version))
        for words in (
            ("build", "--version", version, "--image", image, "--platform", self.board.kind.platform, "--out", folder),
            ("sign", folder / f"{MODEL}-{version}.torrent"),
            ("publish", folder / f"{MODEL}-{version}.torrent"),
        ):
            self.board.fwchain("release", *words, "--network", self.place)
        return image.stat().st_size

    def messages(self) -> str:
        """All that was said to and by the verification node so far."""
        return (self.board.folder / "trace.txt").read_text()

    def provision(self, version: str) -> None:
        """Provision the board by the command."""
        ssid, key = self.board.options.wifi
        wifi = ["--wifi-ssid", ssid, "--wifi-key", key] if ssid else []
        where = ["--board", self.board.kind.name, "--port", self.board.port]
        self.board.fwchain("board", "provision", *where, "--network", self.place, "--version", version, *wifi)


@pytest.fixture(scope="module")
def world(board: Board) -> Iterator[World]:
    """A network, its verification node, and the board provisioned for it."""
    board.needs_network()
    port = free_ports(4)
    place = board.folder / "network"
    board.fwchain(
        *("init", place, "--yes", "--name", "hil", "--model", MODEL, "--port", port, "--check-s", CHECK_S),
        *("--address", board.options.address or "127.0.0.1"),
        *("--set", f"lan.port={port + 3}", "--set", f"node.seed_upload={SEED_UPLOAD}"),
    )
    address, length = board.ask(
        "[slot.address, slot.image_length]", "from fwnode.update.slots import Slots\nslot = Slots().running"
    )
    made = World(board, place, board.read(address, length), serve(board, place))
    try:
        made.publish(FIRST)
        made.provision(FIRST)
        yield made
    finally:
        made.node.stop()


def serve(board: Board, place: Path) -> Node:
    """The verification node, serving."""
    watch = Watch(lambda: None)
    watch.add("node", networks.load(place).events)
    watch.mark()
    node = Node(place, board.folder / "node.log")
    watch.alive = node.check
    try:
        watch.expect({"node": [Expected("serving")]}, 60)
    except BaseException:
        node.stop()
        raise
    return node


def said(world: World, *types: str) -> None:
    """Every message of these types was seen by the verification node."""
    text = world.messages()
    missing = [name for name in types if name not in text]
    assert not missing, f"no {missing} in {world.board.folder / 'trace.txt'}"


def test_c1_1_current_and_untampered(world: World, figure: Any) -> None:
    with world.board.listening() as console:
        console.reset(world.board)
        started = console.wait("started", 60)
        figure("reset to running node, ms", started["ms"])
        console.wait("current", 120, version=FIRST)
    said(world, "req_verchk", "res_verchk", "req_verification", "res_verification", "verification_log")


def test_c1_2_update_and_confirmation(world: World) -> None:
    size = world.publish("1.0.1")
    with world.board.listening() as console:
        console.reset(world.board)
        console.wait("offered", 120, version="1.0.1", repair=False)
        assert console.wait("downloaded", 300, version="1.0.1")["size"] == size
        console.wait("installed", 120, version="1.0.1")
        console.wait("self-test", 120, version="1.0.1", passed=True)
        console.wait("confirmed", 120, version="1.0.1")
        console.wait("updated", 60, version="1.0.1")
        console.wait("current", 120, version="1.0.1")
    said(world, "req_download", "res_download")


def test_a_pulled_reset_line_resumes(world: World, figure: Any) -> None:
    """What was downloaded before the reset is not fetched again."""
    board = world.board
    label = board.ask("next.info()[4]", "from esp32 import Partition\nnext = Partition(1).get_next_update()")
    slot = board.table()[label]  # its old image has pieces in common with the new one: erase it
    board.esptool.run("erase-region", hex(slot.offset), hex(slot.size), after="hard-reset")
    board.settle()
    size = world.publish("1.0.2")
    with board.listening() as console:
        console.reset(board)
        console.wait("offered", 120, version="1.0.2")
        while console.wait("swarm-progress", 120)["fetched"] == 0:
            pass
        console.reset(board)
        have = console.wait("swarm-resumed", 120)["have"]
        fetched = sum(console.wait("downloaded", 300, version="1.0.2")["down"].values())
        console.wait("confirmed", 120, version="1.0.2")
        console.wait("current", 180, version="1.0.2")
    figure("resumed after a reset, pieces kept", have)
    figure("fetched after that reset, bytes", f"{fetched} of {size}")
    assert have > 0
    assert fetched < size


def test_c1_1_not_equal_is_repaired(world: World) -> None:
    """The board says 1.0.3 but runs another image: it finds the difference and installs 1.0.3 anew."""
    world.publish("1.0.3")
    world.provision("1.0.3")
    with world.board.listening() as console:
        console.reset(world.board)
        console.wait("tampered", 120, version="1.0.3")
        console.wait("offered", 60, version="1.0.3", repair=True)
        console.wait("installed", 300, version="1.0.3")
        console.wait("confirmed", 120, version="1.0.3")
        console.wait("current", 120, version="1.0.3")
    said(world, "req_metadata", "res_metadata")


def test_flipped_byte_in_the_running_slot(world: World) -> None:
    """A byte of the running slot changed behind the board's back."""
    virtual = world.board.needs_virtual("a real chip does not let its running slot be changed behind its back")
    slots = virtual.status()["slots"]
    number = next(index for index, slot in enumerate(slots) if slot["running"])
    with world.board.listening() as console:
        virtual.flip(180, slot=number)  # in the description, in the field of the ELF's hash
        console.wait("tampered", 120, version="1.0.3")
        console.wait("installed", 300, version="1.0.3")
        console.wait("current", 180, version="1.0.3")


def test_release_that_reaches_nobody_is_rolled_back_and_waits(world: World) -> None:
    """Its trial finds no verification node: the old release comes back, and takes it no second time at once."""
    world.publish("1.0.4")
    with world.board.listening() as console:
        console.reset(world.board)
        console.wait("installed", 300, version="1.0.4")
        world.node.stop()
        console.wait("self-test", 120, version="1.0.4", passed=True)
        console.wait("giving-up", 300, version="1.0.4", reason="network")
        console.wait("rolled-back", 120, version="1.0.4", why="network")
        world.node = serve(world.board, world.place)
        console.wait("refused", 180, version="1.0.4")


def test_the_chain_holds_it_all(world: World) -> None:
    network = networks.load(world.place)
    assert network.name == "hil"
    world.board.fwchain("chain", "verify", world.place)
