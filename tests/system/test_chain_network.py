"""Three nodes as processes make logs and blocks at once, one is killed and comes back; all end on the same chain."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from chain_parts import Network
from fwchain.chainstore import Store
from fwchain.chainstore.audit import verify_chain

HERE = Path(__file__).parent
DIFFICULTY = 2000
SECONDS = 6.0
LIMIT_S = 120.0


class Process:
    """One chain_node.py."""

    def __init__(self, folder: Path, number: int, seconds: float, port: int = 0) -> None:
        command = [sys.executable, str(HERE / "chain_node.py"), str(folder), str(number), str(seconds), str(port)]
        with open(folder / f"{number}.err", "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.errors = folder / f"{number}.err"
        self.state: dict[str, object] = {}
        first = self.process.stdout.readline()  # type: ignore[union-attr]
        assert first, self.errors.read_text()
        self.url = json.loads(first)["url"]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:  # type: ignore[union-attr]
            self.state = json.loads(line)

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_every_node_ends_on_the_same_tip_and_no_log_is_lost(tmp_path: Path) -> None:
    net = Network(difficulty=DIFFICULTY)
    nodes = [Process(tmp_path, number, SECONDS) for number in range(3)]
    try:
        urls = [node.url for node in nodes]
        for number, node in enumerate(nodes):
            node.tell(json.dumps(urls[:number] + urls[number + 1 :]))
        time.sleep(SECONDS / 2)
        nodes[2].kill()  # in the middle of whatever it does
        killed = Store(tmp_path / "2.db", net.genesis.data, [net.root_data], time.time)
        verify_chain(killed)
        known = set(killed.pool(10_000)) | logs_of(killed)
        killed.close()
        nodes[2] = Process(tmp_path, 2, 0.0, int(urls[2].rsplit(":", 1)[1]))
        nodes[2].tell(json.dumps(urls[:2]))
        until = time.monotonic() + LIMIT_S
        while not settled(nodes):
            assert time.monotonic() < until, [node.state for node in nodes]
            assert all(node.process.poll() is None for node in nodes), [node.errors.read_text() for node in nodes]
            time.sleep(0.3)
        made = sum(int(str(node.state["made"])) for node in nodes[:2])
    finally:
        for node in nodes:
            node.kill()
    found = []
    for number in range(3):
        store = Store(tmp_path / f"{number}.db", net.genesis.data, [net.root_data], time.time)
        audit = verify_chain(store)
        assert store.pool() == []
        inside = logs_of(store)
        assert len(inside) == audit.logs and known <= inside
        found.append((audit.tip, audit.logs, audit.counter, inside))
        assert audit.logs >= made > 10 and audit.counter > 0
        store.close()
    assert found[0] == found[1] == found[2]


def settled(nodes: list[Process]) -> bool:
    """Whether all nodes say the same tip and have empty pools."""
    states = [node.state for node in nodes]
    return all(states) and len({state["tip"] for state in states}) == 1 and not any(state["pool"] for state in states)


def logs_of(store: Store) -> set[bytes]:
    """The encoded logs of the best branch."""
    from fwnode.wire.bencode import decode

    found: set[bytes] = set()
    for height in range(1, store.tip().height + 1):
        found.update(decode(store.block(height))["f"]["l"])  # type: ignore[index]
    return found
