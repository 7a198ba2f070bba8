"""What the tools say on failure becomes a sentence that tells what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fwchain.flashing import boardside, tools
from fwchain.flashing.errors import FlashingError, explain
from fwchain.flashing.prompt import MARK, _answer

CASES = [
    ("[Errno 13] could not open port /dev/x: [Errno 13] Permission denied: '/dev/x'", "usermod -aG dialout"),
    ("A fatal error occurred: This chip is ESP32-C3, not ESP32. Wrong chip argument?", "BOARD=esp32c3"),
    ("Failed to connect to ESP32: Wrong boot mode detected (0x13)!", "hold the BOOT button"),
    ("Failed to connect to Espressif device: No serial data received.", "hold the BOOT button"),
    ("Download mode successfully detected, but getting no sync reply", "RX pin"),
    ("File 'x' (length 5) at offset 0x0 will not fit in 4194304 bytes of flash.", "too large"),
    ("mpremote: failed to access /dev/x (it may be in use by another program)", "has it open"),
    ("Could not open /dev/x, the port is busy or doesn't exist.", "does not exist"),
    ("could not open port socket://h:1: [Errno 111] Connection refused", "cannot be opened"),
    ("A fatal error occurred: MD5 of file does not match data in flash!", "try again"),
    ("ampy.pyboard.PyboardError: could not enter raw repl", "flash it first"),
    ("OSError: [Errno 28] ENOSPC", "full"),
]


@pytest.mark.parametrize(("output", "words"), CASES)
def test_known_failures(output: str, words: str) -> None:
    sentence = explain("tool", "/dev/x", output)
    assert words in sentence
    assert "{" not in sentence


def test_unknown_failure_is_the_last_line_without_notes() -> None:
    text = explain("esptool", "/dev/x", "first\nthe reason\nNOTE: something else\n")
    assert text == "esptool failed on /dev/x: the reason"
    assert explain("esptool", "/dev/x", "").endswith("it said nothing")


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    script = tmp_path / "tool.py"
    script.write_text(code)
    monkeypatch.setattr(tools, "command", lambda tool: [sys.executable, "-u", str(script)])


def test_a_hung_tool_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "import time\nprint('begun')\ntime.sleep(60)\n")
    with pytest.raises(FlashingError, match="unplugged"):
        tools.run("mpremote", "/dev/x", [], timeout=30, idle=0.5)


def test_progress_and_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "print('Writing at 0x00014000 ===   5.5% 16.00kB')\nprint('done')\n")
    seen: list[float] = []
    assert "done" in tools.run("esptool", "/dev/x", [], progress=seen.append)
    assert seen == [5.5]


def test_answers_stand_behind_the_mark() -> None:
    assert _answer("mpremote", "p", f"noise\n{MARK}one\nmore\n{MARK}two\n") == "one\ntwo"
    with pytest.raises(FlashingError, match="ZeroDivision"):
        _answer("mpremote", "p", "Traceback (most recent call last):\nZeroDivisionError: x\n")


def test_an_answer_that_is_no_json_is_told() -> None:
    class Dumb:
        port = "/dev/x"

        def run(self, code: str, timeout: float = 60) -> str:
            return "what?"

    with pytest.raises(FlashingError, match="what?"):
        boardside.call(Dumb(), boardside.PREPARE, REMOVE=[], FOLDERS=[])  # type: ignore[arg-type]


def test_parents() -> None:
    assert boardside.parents(["/lib/a/b.mpy", "/main.py", "/lib/c.mpy"]) == ["/lib", "/lib/a"]
