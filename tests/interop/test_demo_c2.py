"""`make demo-c2`: some minutes of a fleet without a verification node, real processes all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "fwchain.demo", "--c2"]
ALL_S = 900
BEGIN_S = 180
ROWS = (
    "C2-2: untampered",
    "C2-2: its block",
    "C2-2: tampered, repaired",
    "C1-2: 1.1.0",
    "C2-3: the asker is older",
    "C2-1: the answerer is older",
    "all run 1.1.0, no verification node",
    "Sybils without certificate: not counted",
    "Sybils certified for another model: not counted",
    "Sybils certified, of another verifier: not counted",
    "the same tip at 13 nodes",
    "no verification log was lost",
    "branches that lost",
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def start(folder: Path) -> subprocess.Popen[bytes]:
    with folder.with_suffix(".out").open("wb") as out:
        return subprocess.Popen(
            [*DEMO, str(folder)], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that name the demo's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.timeout(ALL_S + 60)
def test_every_step_is_observed_and_nothing_is_left_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder)
    try:
        code = process.wait(ALL_S)
        said = folder.with_suffix(".out").read_text()
        assert code == 0, said[-6000:]
        table = said[said.index("What was seen") :]
        for row in ROWS:
            assert row in table, said[-6000:]
        assert "every step was observed, in " in table
        assert left_behind(folder) == []
    finally:
        end(process)


@pytest.mark.timeout(BEGIN_S + 120)
def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder)
    try:
        out = folder.with_suffix(".out")
        deadline = time.monotonic() + BEGIN_S
        while "the verification node is gone" not in out.read_text(errors="replace"):
            assert process.poll() is None and time.monotonic() < deadline, out.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        assert len(left_behind(folder)) > 12
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert left_behind(folder) == []
    finally:
        end(process)
