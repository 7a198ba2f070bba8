"""Print what the chain costs: proof of work against bare SHA-256, blocks verified a second, growth per verification.

    python tests/bench/chain.py [--rounds N] [--heap 192k] [--json]

The proof of work and the bare loop are measured by turns in one process, so that their ratio holds on any machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BOTH = HERE.parent / "both"
DEVICE = HERE.parent.parent / "device"
sys.path.insert(0, str(BOTH))

from chain_parts import TIME, Network  # noqa: E402
from fwchain.chainstore import Miner, Store  # noqa: E402
from fwchain.chainstore.audit import blocks_of, verify_blocks  # noqa: E402
from fwnode import proofs, unsent  # noqa: E402
from fwnode.chain import proof  # noqa: E402
from fwnode.chain.genesis import CONFIRMATIONS, DIFFICULTY  # noqa: E402
from fwnode.chain.headers import FILE_SIZE  # noqa: E402

LEAST_RATIO = 0.5
LOGS = 320


def board(interpreter: str, options: list[str], rounds: int) -> dict[str, float]:
    """The board's half on an interpreter."""
    command = [interpreter, *options, str(HERE / "chain_on_micropython.py"), str(DEVICE), str(BOTH), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{interpreter}: {done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def host(per_block: int) -> dict[str, float]:
    """The host's store with blocks of so many logs: rates and sizes."""
    net = Network()
    logs = [net.log(n) for n in range(LOGS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.db"
        store = Store(path, net.genesis.data, [net.root_data], lambda: TIME + 10**6)
        link = net.genesis.link()
        made = []
        for at in range(0, LOGS, per_block):
            made.append(net.by_node(link, logs[at : at + per_block], time=TIME + 100 + at))
            link = net.link(made[-1], link)
        empty = _size(Path(folder))
        began = time.perf_counter()
        for data in made:
            store.add_block(data)
        stored = len(made) / (time.perf_counter() - began)
        began = time.perf_counter()
        verify_blocks(net.genesis, [net.root_data], blocks_of(store))
        verified = len(made) / (time.perf_counter() - began)
        store.close()
        growth = (_size(Path(folder)) - empty) / LOGS
    included = proof.inclusion(1, net.block(made[0]), 1)
    return {
        "stored": stored,
        "verified": verified,
        "chain": sum(map(len, made)) / LOGS,
        "database": growth,
        "header": 88 / per_block,
        "record": sum(map(len, logs)) / LOGS,
        "board": 96 / per_block,
        "proof": len(included),
    }


def kept() -> dict[str, int]:
    """Bytes that a board keeps in flash, part by part, once it has been n_j and nobody takes its logs."""
    net = Network()
    confirmed = [net.confirmation(10 + n, 8, 9, bytes(32)) for n in range(CONFIRMATIONS)]
    block = net.by_board(9, net.genesis.link(), [*confirmed, net.log(8)])
    included = proof.inclusion(1, net.block(net.by_node(net.genesis.link(), [net.log(n) for n in range(16)])), 1)
    return {
        "headers": FILE_SIZE,
        "signed head of the tip": len(net.block(block).announcement()),
        "own last block": len(block),
        f"{proofs.KEPT} proofs of own logs": proofs.KEPT * len(included),
        f"{unsent.MAX} logs that nobody has taken": unsent.MAX * len(net.log(8)),
    }


def default_difficulty() -> float:
    """Seconds of one block of the default difficulty, the miner's whole way, on this host."""
    net = Network(difficulty=DIFFICULTY)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "chain.db", net.genesis.data, [net.root_data], lambda: TIME + 10**6)
        miner = Miner(store, net.node)
        for n in range(20):
            store.add_log(net.log(n))
        began = time.perf_counter()
        made = miner.flush()
        return (time.perf_counter() - began) / len(made)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _micropython() -> str:
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if found is None:
        raise SystemExit("no micropython: `make setup` installs it")
    return found


def main() -> int:
    """Measure and print; 1 when the proof of work is below half of the bare loop."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--heap", default="192k")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    micropython = board(_micropython(), ["-X", f"heapsize={given.heap}"], given.rounds)
    cpython = board(sys.executable, [], given.rounds)
    single, full = host(1), host(16)
    found: dict[str, Any] = {
        "micropython": micropython, "cpython": cpython, "store_1": single, "store_16": full,
        "block_s": default_difficulty(), "difficulty": DIFFICULTY, "kept": kept(),
    }  # fmt: skip
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        _print(found, given.heap)
    return 0 if micropython["ratio"] >= LEAST_RATIO else 1


def _print(found: dict[str, Any], heap: str) -> None:
    print(f"proof of work, hashes a second (MicroPython: heap {heap}); the two loops by turns in one process")
    print(f"  {'':12}{'bare sha256':>14}{'proof of work':>15}{'ratio':>8}{'lowest':>8}{'longest slice':>15}")
    for name in ("micropython", "cpython"):
        row = found[name]
        print(
            f"  {name:12}{row['bare']:14,.0f}{row['pow']:15,.0f}{row['ratio']:8.2f}{row['lowest']:8.2f}"
            f"{row['slice_ms']:12.2f} ms"
        )
    print(f"  to reach on MicroPython: {LEAST_RATIO:.2f}")
    print("longest hold of a board's event loop")
    for name, what in (("slice_ms", "a slice of the proof of work"), ("step_ms", "a step of the elliptic curves")):
        print(f"  {found['micropython'][name]:8.2f} ms, {what}")
    print("blocks a second")
    print(f"  micropython   {found['micropython']['blocks']:8.1f} of 4 logs, every rule and signature")
    print(f"                {found['micropython']['heads']:8.1f} signed heads taken into the header chain")
    for logs, name in ((1, "store_1"), (16, "store_16")):
        row = found[name]
        print(f"  host          {row['verified']:8.1f} of {logs} logs verified, {row['stored']:8.1f} stored")
    print(f"  host          {found['block_s']:8.2f} s for a block of difficulty {found['difficulty']}, all of it")
    print("growth in bytes per verification")
    print(f"  {'logs a block':14}{'chain':>9}{'header':>9}{'record':>9}{'database':>10}{'board':>8}{'own proof':>11}")
    for logs, name in ((1, "store_1"), (16, "store_16")):
        row = found[name]
        print(
            f"  {logs:<14}{row['chain']:9.1f}{row['header']:9.1f}{row['record']:9.1f}{row['database']:10.1f}"
            f"{row['board']:8.1f}{row['proof']:11.0f}"
        )
    print("  board: what its header chain takes; own proof: leaf and path of one log")
    print("what a board keeps in flash, bytes")
    for name, size in found["kept"].items():
        print(f"  {name:34}{size:9,}")
    print(f"  {'in all':34}{sum(found['kept'].values()):9,}")


if __name__ == "__main__":
    sys.exit(main())
