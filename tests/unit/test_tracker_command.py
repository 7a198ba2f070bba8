"""`fwchain tracker` and its allow-list."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

from fwchain.errors import SetupError
from fwchain.tracker.allowlist import parse

COMMAND = [sys.executable, "-m", "fwchain.cli.app", "tracker"]
ONE, TWO = bytes(range(20)), bytes(range(20, 40))


def test_allow_list() -> None:
    assert parse(f"# mine\n\n{ONE.hex()}  # a board\n{TWO.hex().upper()}\n") == {ONE, TWO}
    with pytest.raises(SetupError, match="line 2: an info-hash of 40 hex digits expected, got 'abc'"):
        parse(f"{ONE.hex()}\nabc\n")


def announce(port: int, info_hash: bytes) -> bytes:
    url = f"http://127.0.0.1:{port}/announce?info_hash={quote(info_hash)}&port=5000&left=1"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


def test_command_follows_its_file_and_keeps_the_swarm(tmp_path: Path) -> None:
    allow = tmp_path / "allow.txt"
    allow.write_text(ONE.hex() + "\n")
    arguments = [*COMMAND, str(allow), "--port", "0", "--state", str(tmp_path / "state"), "--json"]
    for run in range(2):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            port = json.loads(process.stdout.readline())["port"]
            answer = announce(port, ONE)
            assert b"10:incompletei1e" in answer
            if not run:
                assert b"not served" in announce(port, TWO)
                allow.write_text(f"{ONE.hex()}\n{TWO.hex()}\n")
                assert json.loads(process.stdout.readline()) == {"event": "allow-list", "info_hashes": 2}
                assert b"10:incompletei1e" in announce(port, TWO)
            process.send_signal(signal.SIGINT)
            assert json.loads(process.stdout.readline())["event"] == "stopped"
            assert process.wait(5) == 0
        finally:
            process.kill()
            process.wait()
    assert (tmp_path / "state").stat().st_size > 40


def test_wrong_turns_get_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, str(tmp_path / "none")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 3 and "none: No such file or directory" in done.stderr and "Traceback" not in done.stderr
    allow = tmp_path / "allow.txt"
    allow.write_text("")
    first = subprocess.Popen([*COMMAND, str(allow), "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        port = json.loads(first.stdout.readline())["port"]
        time.sleep(0.05)
        done = subprocess.run([*COMMAND, str(allow), "--port", str(port)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 3 and f"port {port} on 127.0.0.1 is taken" in done.stderr
    finally:
        first.kill()
        first.wait()
