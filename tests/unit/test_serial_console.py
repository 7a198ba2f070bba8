"""The console's bridge: line ends, which REPL is on, Ctrl-C, a session that starts in raw REPL; the registry."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwchain.board.serial import registry
from fwchain.board.serial.bootlog import rom_log
from fwchain.board.serial.chips import CHIPS
from fwchain.board.serial.console import Console, catches_interrupt, interrupt, to_crlf

BANNER = b'MicroPython v1.25 on today; board\r\nType "help()" for more information.\r\n>>> '
RAW = b"\r\nraw REPL; CTRL-B to exit\r\n>"


@pytest.fixture
def pair() -> Iterator[tuple[Console, socket.socket]]:
    """A console, and the program's end of it."""
    ours, theirs = socket.socketpair()
    console = Console(ours.detach(), os.getpid())
    yield console, theirs
    console.close()
    theirs.close()


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_line_ends_do_not_depend_on_where_the_stream_is_cut(parts: list[bytes]) -> None:
    out, before = b"", b""
    for part in parts:
        out += to_crlf(part, before)
        before = (before + part)[-1:]
    assert out == to_crlf(b"".join(parts), b"")


def test_line_ends() -> None:
    assert to_crlf(b"a\nb\r\nc\n\n", b"") == b"a\r\nb\r\nc\r\n\r\n"
    assert to_crlf(b"\nx", b"\r") == b"\nx"


def test_mode_follows_the_banners(pair: tuple[Console, socket.socket]) -> None:
    console, program = pair
    for said, raw in ((BANNER, False), (RAW, True), (b"\x04text\n", True), (BANNER, False)):
        program.send(said)
        console.receive()
        assert console.raw is raw


def test_raw_output_is_not_touched(pair: tuple[Console, socket.socket]) -> None:
    console, program = pair
    program.send(b"text\n")
    assert console.receive() == b"text\r\n"
    program.send(RAW)
    console.receive()
    program.send(b"text\n\x00\xff")
    assert console.receive() == b"text\n\x00\xff"


def test_a_session_that_starts_raw_shows_only_boot_pys_words() -> None:
    ours, theirs = socket.socketpair()
    console = Console(ours.detach(), os.getpid(), raw=True)
    console.flush()
    assert theirs.recv(10) == b"\x01"
    theirs.send(b"boot.py says\n" + BANNER[:20])
    assert console.receive() == b""
    theirs.send(BANNER[20:] + RAW)
    assert console.receive() == b"boot.py says\n" + RAW[2:]
    console.close()
    theirs.close()


@pytest.fixture
def program_runs(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each Ctrl-C meets, one answer after the other: a program that takes it, or none; at the end: none."""
    answers: list[bool] = []
    monkeypatch.setattr("fwchain.board.serial.console.interrupt", lambda pid: bool(answers) and answers.pop(0))
    return answers


def test_ctrl_c_at_a_prompt_is_a_byte(pair: tuple[Console, socket.socket], program_runs: list[bool]) -> None:
    console, program = pair
    program.send(BANNER)
    console.receive()
    console.send(b"ab\x03cd")
    assert program.recv(20) == b"ab\x03cd"


def test_ctrl_c_before_the_prompt_waits_for_the_program(
    pair: tuple[Console, socket.socket], program_runs: list[bool]
) -> None:
    console, program = pair
    console.send(b"\r\x03\r")
    assert program.recv(20) == b"\r\r"
    console.poll()
    assert console.wants_poll
    program_runs.append(True)
    console.poll()
    assert not program_runs
    assert not console.wants_poll


def test_ctrl_c_that_waits_is_forgotten_at_the_prompt(
    pair: tuple[Console, socket.socket], program_runs: list[bool]
) -> None:
    console, program = pair
    console.send(b"\x03")
    program.send(BANNER)
    console.receive()
    program_runs.append(True)
    console.poll()
    assert program_runs, "a program that was started later was interrupted"
    assert not console.wants_poll


def test_ctrl_c_does_not_reach_a_board_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the file system is mounted there is no program to interrupt, whatever the process catches."""
    started: list[bool] = []
    sent: list[int] = []
    monkeypatch.setattr("fwchain.board.serial.console.interrupt", lambda pid: not sent.append(pid))
    ours, theirs = socket.socketpair()
    console = Console(ours.detach(), os.getpid(), started=lambda: bool(started))
    console.send(b"\x03")
    console.poll()
    assert not sent and console.wants_poll
    started.append(True)
    console.poll()
    assert sent == [os.getpid()]
    console.close()
    theirs.close()


def test_a_second_ctrl_c_does_not_meet_the_prompt(
    pair: tuple[Console, socket.socket], program_runs: list[bool]
) -> None:
    """Two in a row, as ampy and people send them: one signal; the other is forgotten once raw REPL waits again."""
    console, program = pair
    program.send(RAW)
    console.receive()
    program_runs.append(True)
    console.send(b"\x03\x03")
    assert not program_runs
    assert console.wants_poll
    program.send(b"\x04Traceback\n\x04>")
    console.receive()
    program_runs.append(True)
    console.poll()
    assert program_runs
    assert not console.wants_poll


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_who_catches_sigint() -> None:
    code = "import signal, sys, time\nsignal.signal(2, signal.{})\nprint(flush=True)\ntime.sleep(20)\n"
    for action, caught in (("default_int_handler", True), ("SIG_DFL", False), ("SIG_IGN", False)):
        with subprocess.Popen([sys.executable, "-c", code.format(action)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert catches_interrupt(process.pid) is caught
            process.kill()
    assert catches_interrupt(1 << 30) is False


def test_boot_log_of_every_chip_is_what_esptool_looks_for() -> None:
    for chip in CHIPS.values():
        assert b"boot:0x" in rom_log(chip)
        assert b"waiting for download" not in rom_log(chip)
        assert rom_log(chip, download=True).rstrip().endswith(b"waiting for download")


def test_registry_forgets_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FWCHAIN_RUN", str(tmp_path))
    assert registry.running() == []
    mine = registry.add("b1", "/b1", ("/dev/pts/1", "rfc2217://127.0.0.1:1", "socket://127.0.0.1:1"))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = tmp_path / "dead.json"
    dead.write_text(json.dumps({**json.loads(mine.read_text()), "pid": process.pid, "name": "b2"}))
    (tmp_path / "broken.json").write_text("{")
    assert [entry.name for entry in registry.running()] == ["b1"]
    assert not dead.exists()
    registry.remove(mine)
    assert registry.running() == []


ANSWERS = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: print("usr1", flush=True))
signal.signal(signal.SIGINT, signal.{})
print(flush=True)
for line in sys.stdin:
    print("runs", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("action", "taken"), [("default_int_handler", True), ("SIG_DFL", False)])
def test_interrupt_signals_only_who_catches_and_lets_it_run_on(action: str, taken: bool) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", ANSWERS.format(action)], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        assert interrupt(process.pid) is taken
        if taken:
            assert process.stdout.readline() == "usr1\n"
        process.stdin.write("x\n")
        process.stdin.flush()
        assert process.stdout.readline() == "runs\n"
        process.stdin.close()
        process.wait()
        assert interrupt(process.pid) is False
