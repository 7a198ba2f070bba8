"""The hardware-in-the-loop suite, run as a user runs it: on its own virtual board, and on a board at a port.

The board at the port is virtual too, but the suite does not know it: it reaches the board by the port alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def suite(*options: object, timeout: float) -> str:
    """Run tests/hil; returns what it printed, which must say that nothing failed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/hil", *map(str, options)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.mark.timeout(1000)
def test_on_the_virtual_board() -> None:
    out = suite("--board", "virtual", timeout=900)
    assert "measured on the board" in out
    assert "skipped" not in out


@pytest.mark.timeout(1200)
def test_on_a_port(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FWCHAIN_RUN", str(tmp_path / "run"))
    command = [sys.executable, "-m", "fwchain.cli.app", "board"]
    folder = tmp_path / "board"
    subprocess.run([*command, "firmware", "--out", tmp_path], check=True, timeout=120)
    subprocess.run([*command, "new", folder, "--blank", "--heap", "192k"], check=True, timeout=60)
    board = subprocess.Popen([*command, "run", folder, "--serial", "--quiet"], env=os.environ)
    try:
        end = time.monotonic() + 30
        while not (folder / "serial.json").exists() and time.monotonic() < end:
            time.sleep(0.1)
        port = json.loads((folder / "serial.json").read_text())["pty"]
        out = suite(
            *("--board", port, "--kind", "virtual", "--address", "127.0.0.1"),
            *("--wifi-ssid", "virtual", "--wifi-key", "virtual"),
            *("--firmware", tmp_path / "thermometer-1.0.0.full.bin"),
            timeout=900,
        )
    finally:
        board.send_signal(signal.SIGINT)
        board.wait(30)
    assert "does not let its running slot be changed" in out  # the one test that a real chip cannot take
    flash = (folder / "flash.bin").read_bytes()
    assert flash[:0x9000].count(0xFF) == 0x9000, "the suite did not restore the blank flash"
