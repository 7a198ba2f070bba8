"""Two machines on one cable (network namespaces): UDP multicast and HTTP reach across both ways, by plain addresses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from namespace_support import address, inside, two_namespaces
from node_support import HostNode, Machine
from update_support import Fleet

HERE = Path(__file__).parent
DEVICE = HERE.parent.parent / "device"
MICROPYTHON = [str(Path(sys.executable).with_name("micropython")), "-X", "heapsize=192k"]
GROUP, PORT = "239.255.70.67", 4568
LIMIT_S = 60


@pytest.mark.parametrize("other", ["micropython", "cpython"])
def test_multicast_and_http_reach_across_both_ways(other: str) -> None:
    interpreters = [[sys.executable], MICROPYTHON if other == "micropython" else [sys.executable]]
    with two_namespaces() as names:
        processes = []
        try:
            for number, (name, interpreter) in enumerate(zip(names, interpreters, strict=True)):
                words = [str(DEVICE), address(number), address(1 - number), GROUP, str(PORT)]
                command = [*inside(name), *interpreter, str(HERE / "lan_peer.py"), *words]
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for number, process in enumerate(processes):
                out, _ = process.communicate(timeout=LIMIT_S)
                theirs = address(1 - number)
                assert json.loads(out) == {"heard": theirs, "answer": f"answer of {theirs}", "asked_by": theirs}
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_a_node_brings_its_fellow_on_the_other_machine_up_to_date(tmp_path: Path) -> None:
    """C2-3 over the cable: the request by multicast, answer and M by HTTP, the firmware by the peer wire."""
    once = {"board.check_s": 3600, "normal.retry_s": 3600}
    with Fleet(tmp_path) as fleet, two_namespaces() as names:
        new, old = (
            HostNode(fleet, number + 1, release, Machine(address(number), PORT + 1, inside(names[number])), **once)
            for number, release in enumerate([fleet.release("1.1.0", size=100_000), fleet.release("1.0.0")])
        )
        try:
            new.start().wait("unanswered")  # nobody else is there, and no verification node can be reached
            old.start()
            assert new.wait("answering")["theirs"] == "1.0.0"
            old.wait("updated", version="1.1.0")
            alone = [event["where"] for event in old.seen if event["event"] == "unreached"]
            assert alone and all(where.startswith(fleet.config.url) for where in alone)
        finally:
            assert [node.stop() for node in (new, old)] == [0, 0]
