"""A normal node on the host, in its network: it checks, takes newer releases, serves them, and answers its fellows."""

from __future__ import annotations

import asyncio
import subprocess
import time
import urllib.request
from pathlib import Path

from node_support import POLL_S, WAIT_S, HostNode, outcomes, set_peers
from update_support import Fleet

from fwchain.demo.processes import COMMAND
from fwnode.swarm import new_peer_id
from fwnode.swarm.download import Download


class Memory:
    """Where a test's download puts a release."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)

    def readinto(self, offset: int, buf: memoryview) -> None:
        buf[:] = self.data[offset : offset + len(buf)]

    def write(self, offset: int, buf: memoryview) -> None:
        self.data[offset : offset + len(buf)] = buf


def test_a_node_checks_updates_and_serves(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        node = HostNode(fleet, 1, old).start()
        try:
            node.wait("current", version="1.0.0", case="C1-1")
            new = fleet.release("1.1.0", size=300_000)
            fleet.publish(new)
            node.wait("offered", version="1.1.0")
            node.wait("installed", version="1.1.0", slot=new.release.verifier[:8].hex())
            node.wait("updated", version="1.1.0")
            node.wait("current", version="1.1.0")
            assert fetched(node, new) == new.image
            with urllib.request.urlopen(f"{node.url}/root/1", timeout=20) as answer:
                assert answer.read() == fleet.network.root.data
            twice = subprocess.run([*COMMAND, "node", node.folder], capture_output=True, text=True, timeout=60)
            assert twice.returncode == 3
            assert twice.stderr == f"fwchain: a port is taken: {node.port}; change port of [node] in fwchain.toml\n"
            assert node.stop() == 0
            node.wait("stopped")
            node.start()  # it holds what it held
            node.wait("current", version="1.1.0", case="C1-1")
        finally:
            assert node.stop() == 0
        found = outcomes(node.folder)
        assert found["updated"] == 1 and found["current"] >= 2


def test_a_node_that_holds_nothing_fetches_the_newest(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0", size=100_000)
        fleet.publish(only)
        node = HostNode(fleet, 1).start()
        try:
            node.wait("updated", version="1.0.0")
            assert fetched(node, only) == only.image
            path = node.folder / "releases" / only.release.verifier[:8].hex() / "slot"
            data = bytearray(path.read_bytes())
            data[70_000] ^= 1
            path.write_bytes(data)
            node.wait("tampered", version="1.0.0")
            node.wait("repaired", version="1.0.0")
            assert path.read_bytes() == only.image
            node.wait("current", version="1.0.0")
        finally:
            assert node.stop() == 0


def test_nodes_verify_each_other_while_the_verification_node_is_away(tmp_path: Path) -> None:
    """C2-2 of three nodes; the verification node comes back with all that they logged."""
    with Fleet(tmp_path, confirmations=1) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        quiet = {"board.check_s": 3600, "normal.retry_s": 3600}  # they answer, and ask once
        nodes = [HostNode(fleet, 1, only), *(HostNode(fleet, number, only, **quiet) for number in (2, 3))]
        set_peers(fleet, *nodes)
        try:
            for node in reversed(nodes):
                node.start()
                node.wait("current", case="C1-1")
            fleet.kill_node()
            found = nodes[0].wait("current", case="C2-2", timeout=120)
            assert found["confirmations"] == 1
            said: set[str] = set()
            end = time.monotonic() + WAIT_S
            while not {"answering", "confirmed-fellow", "block"} <= said:
                assert time.monotonic() < end, said
                said |= {event["event"] for node in nodes[1:] for event in node.events.read()}
                time.sleep(POLL_S)
            fleet.serve()
            while fleet.wait_node("synced")["blocks"] == 0:
                pass  # somebody's pool alone
        finally:
            assert [node.stop() for node in nodes] == [0, 0, 0]
        found = outcomes(fleet.network.folder)
        assert found["confirmed"] >= 1 and found["current"] >= 4


def test_a_newer_fellow_hands_its_release_over(tmp_path: Path) -> None:
    """C2-3 without any verification node: M and every byte come from the fellow, and the log reaches both chains."""
    with Fleet(tmp_path) as fleet:
        fleet.kill_node()
        new = fleet.release("1.1.0", size=200_000)
        newer = HostNode(fleet, 1, new, **{"board.check_s": 3600, "normal.retry_s": 3600})
        older = HostNode(fleet, 2, fleet.release("1.0.0"), **{"node.pool_s": 1.0})
        try:
            newer.start()
            newer.wait("unanswered")  # else it may tell of its release first, by its own question (C2-1)
            older.start()
            assert older.wait("offered", version="1.1.0", timeout=120)["case"] == "C2-3"
            down = older.wait("downloaded", version="1.1.0")["down"]
            assert list(down) == [newer.ip] and down[newer.ip] >= len(new.image)
            older.wait("updated", version="1.1.0")
            older.wait("block")
            newer.wait("synced")
        finally:
            assert [node.stop() for node in (newer, older)] == [0, 0]
        assert outcomes(newer.folder) == outcomes(older.folder) == {"updated": 1}


def test_a_board_is_verified_by_nodes_on_the_host(tmp_path: Path) -> None:
    """C2-2 of MicroPython and CPython: n_i is a board, n_j and the confirming node are on the host."""
    with Fleet(tmp_path, confirmations=1) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        quiet = {"board.check_s": 3600, "normal.retry_s": 3600}
        nodes = [HostNode(fleet, number, only, **quiet) for number in (1, 2)]
        try:
            for node in nodes:
                node.start()
                node.wait("current", case="C1-1")
            fleet.kill_node()
            board = fleet.board(only)
            found = fleet.wait(board, "current", case="C2-2", timeout=180)
            assert found["confirmations"] == 1
        finally:
            assert [node.stop() for node in nodes] == [0, 0]


def fetched(node: HostNode, update: object) -> bytes:
    """The release's bytes as the node's seed gives them to a peer that knows nobody else."""
    release = update.release  # type: ignore[attr-defined]
    memory = Memory(release.size)

    async def fetch() -> None:
        download = Download(
            release, memory, [(node.ip, node.port)], new_peer_id(), None, 0, trackers=[], web_seeds=[], check_first=None
        )
        try:
            await asyncio.wait_for(download.run(), 60)
        finally:
            await download.close()

    asyncio.run(fetch())
    return bytes(memory.data)
