"""The demo is the whole of the main job: it exits 0 only when each of its steps was observed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "fwchain.demo"]


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


def wait_for(text: str, path: Path, process: subprocess.Popen[bytes], seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        said = path.read_text(errors="replace")
        if text in said:
            return said
        assert process.poll() is None, said
        time.sleep(0.1)
    raise AssertionError(f"{text!r} was not said in {seconds} s:\n{path.read_text(errors='replace')[-3000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.timeout(400)
def test_every_step_of_the_demo_is_observed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder)
    try:
        code = process.wait(360)
        said = folder.with_suffix(".out").read_text()
        assert code == 0, said[-6000:]
        for row in (
            "C1-1: current and untampered",
            "1.1.0 published over mutual TLS",
            "1.1.0: bytes from the seed",
            "1.1.0: bytes from other boards",
            "1.1.0 runs and is confirmed",
            "C1-1: found tampered, repaired itself",
            "1.2.0 not tried again",
            "1.2.1 runs and is confirmed",
            "chain verified from genesis",
        ):
            assert row in said
        assert "every step was observed" in said
        trace = (folder / "trace.txt").read_text()
        for kind in ("req_verchk", "res_verchk", "req_verification", "res_verification", "req_download"):
            assert kind in trace
        assert left_behind(folder) == []
    finally:
        end(process)


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder)
    try:
        wait_for("is current and untampered", folder.with_suffix(".out"), process, 90)
        assert left_behind(folder) != []
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert left_behind(folder) == []
    finally:
        end(process)


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform != "linux", reason="a process that cannot outlive another needs Linux")
def test_a_killed_demo_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder)
    try:
        wait_for("is current and untampered", folder.with_suffix(".out"), process, 90)
        process.kill()
        process.wait(10)
        end_at = time.monotonic() + 20
        while left_behind(folder) and time.monotonic() < end_at:
            time.sleep(0.1)
        assert left_behind(folder) == []
    finally:
        end(process)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run([*DEMO, str(tmp_path)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "holds something else" in done.stdout
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        done = subprocess.run(
            [*DEMO, str(folder)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 1 and done.stderr == "" and str(file) in done.stdout.replace("\n", "")
    assert file.read_text() == "" and list(tmp_path.iterdir()) == [file]
