"""What fwnode takes of a 32-bit MicroPython: `make bench-heap32`, where Node.js and its npm package can be had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "heap32"
RESIDENT = 38 * 1024
HEAP = 70 * 1024
FLASH = 96 * 1024


@pytest.fixture(scope="module")
def report() -> dict:
    """The bench's report."""
    done = subprocess.run([sys.executable, str(BENCH), "--json"], capture_output=True, text=True, timeout=200)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict = json.loads(done.stdout)
    return found


def test_what_stays_loaded_is_within_its_budget(report: dict) -> None:
    assert "fwnode.node" in report["modules"]
    assert not {"fwnode.crypto", "fwnode.net.http", "fwnode.swarm.seed", "fwnode.ledger"} & set(report["modules"])
    assert report["resident"] <= RESIDENT


def test_heap_at_rest(report: dict) -> None:
    assert report["bits"] == 32
    assert report["code"] + report["names"] < report["taken"] <= HEAP


def test_all_of_it_in_flash(report: dict) -> None:
    assert report["resident"] < report["flash"] <= FLASH < report["mpy"]
