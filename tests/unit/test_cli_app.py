"""The frame of the command line: commands load when called, errors become one line and an exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fwchain import __version__
from fwchain.cli import app as frame
from fwchain.cli.app import COMMANDS, run
from fwchain.errors import EXIT_CODES, NotTrusted, SetupError, Unreachable


def test_help_lists_every_command_and_loads_none() -> None:
    code = "import sys; from fwchain.cli.app import run; c = run(['--help']); print(c, sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    for name in ("init", "release", "serve", "board", "chain", "tracker"):
        assert f"\n  {name} " in done.stdout
    loaded = done.stdout.splitlines()[-1]
    assert loaded.startswith("0 ")
    for heavy in ("aiohttp", "sqlalchemy", "libtorrent", "esptool", "fwchain.cli.release"):
        assert f"'{heavy}'" not in loaded


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"fwchain {__version__}\n"


def test_the_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in text


@pytest.mark.parametrize("name", ["init", "release", "serve", "board", "chain", "tracker", "backup", "restore"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "Usage: fwchain " + name in capsys.readouterr().out


def test_a_slip_of_the_finger_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["realease"]) == 2
    assert "Did you mean 'release'?" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_a_missing_part_names_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COMMANDS, "absent", "A part that is not there.")
    assert run(["absent"]) == 1
    assert "`fwchain absent` is not part of version" in capsys.readouterr().err


def test_a_missing_library_names_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'libtorrent'", name="libtorrent")

    monkeypatch.setattr(frame.importlib, "import_module", missing)
    assert run(["serve"]) == 1
    assert "needs the Python module libtorrent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SetupError("no network"), 3, "fwchain: no network\n"),
        (NotTrusted("wrong signature"), 4, "fwchain: wrong signature\n"),
        (Unreachable("nobody there"), 5, "fwchain: nobody there\n"),
        (FileNotFoundError(2, "No such file or directory", "x.bin"), 1, "fwchain: No such file or directory: x.bin\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_one_line(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(frame, "load", fail)
    assert run(["serve"]) == code
    assert capsys.readouterr().err == text


def test_debug_shows_where_an_error_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FWCHAIN_DEBUG", "1")
    assert run(["serve", "/nowhere"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_mistake_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(frame, "load", fail)
    with pytest.raises(ZeroDivisionError):
        run(["serve"])
