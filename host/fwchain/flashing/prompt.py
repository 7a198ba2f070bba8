"""Talking to MicroPython on a board with mpremote or ampy: run code, copy files.

Both tools interrupt what runs and reset the interpreter softly first, without main.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fwchain.errors import SetupError
from fwchain.flashing import bridge, tools
from fwchain.flashing.errors import FlashingError, explain

MARK = "fwchain-said:"  # begins the answer's lines, among whatever else the board prints


class Prompt(Protocol):
    """What deploying and provisioning need of a tool."""

    port: str

    def run(self, code: str, timeout: float = 60) -> str:
        """Run code on the board; returns what it printed behind MARK, else everything."""
        ...

    def put(self, files: Sequence[tuple[Path, str]], done: Callable[[int], None]) -> None:
        """Copy files (host path, board path); their folders are there. `done(count)` after each."""
        ...

    def restart(self) -> None:
        """Reset the board, so that main.py runs."""
        ...


class Mpremote:
    """mpremote on a device or URL."""

    def __init__(self, port: str) -> None:
        self.port = port

    def run(self, code: str, timeout: float = 60) -> str:
        """See Prompt."""
        with _script(code) as path:
            output = tools.run("mpremote", self.port, ["connect", self.port, "run", path], timeout=timeout)
        return _answer("mpremote", self.port, output)

    def put(self, files: Sequence[tuple[Path, str]], done: Callable[[int], None]) -> None:
        """See Prompt. One mpremote process copies all."""
        args: list[object] = ["connect", self.port]
        for index, (local, remote) in enumerate(files):
            args += ["+"] if index else []
            args += ["fs", "cp", local, f":{remote}"]
        size = sum(local.stat().st_size for local, _ in files)
        count = 0

        def line(text: str) -> None:
            nonlocal count
            if text.startswith("cp "):
                done(count)
                count += 1

        idle = 10 + max(local.stat().st_size for local, _ in files) / 1000
        tools.run("mpremote", self.port, args, timeout=60 + size / 500, idle=idle, on_line=line)
        done(len(files))

    def restart(self) -> None:
        """See Prompt."""
        tools.run("mpremote", self.port, ["connect", self.port, "reset"], timeout=60)


class Ampy:
    """ampy on a device; a URL is bridged to a pty by `opened`."""

    def __init__(self, port: str, name: str) -> None:
        self.port = name
        self._device = port

    def run(self, code: str, timeout: float = 60) -> str:
        """See Prompt."""
        with _script(code) as path:
            output = self._ampy("run", path, timeout=timeout)
        return _answer("ampy", self.port, output)

    def put(self, files: Sequence[tuple[Path, str]], done: Callable[[int], None]) -> None:
        """See Prompt. ampy takes one file a call."""
        for index, (local, remote) in enumerate(files):
            self._ampy("put", local, remote, timeout=15 + local.stat().st_size / 500)
            done(index + 1)

    def restart(self) -> None:
        """See Prompt."""
        self._ampy("reset", "--hard", timeout=60)

    def _ampy(self, *args: object, timeout: float) -> str:
        return tools.run("ampy", self.port, ["-p", self._device, *args], timeout=timeout)


@contextmanager
def opened(tool: str, port: str) -> Iterator[Prompt]:
    """The prompt of the board at `port`, by `mpremote` or `ampy`."""
    if tool == "mpremote":
        yield Mpremote(port)
    elif tool == "ampy":
        with bridge.device(port) as name:
            yield Ampy(name, port)
    else:
        raise SetupError(f"TOOL={tool} is not known; there are mpremote and ampy")


@contextmanager
def _script(code: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.py")
        path.write_text(code)
        yield path


def _answer(tool: str, port: str, output: str) -> str:
    """What stands behind MARK, line by line; without any, a traceback in the output is an error."""
    said = [line[len(MARK) :] for line in output.splitlines() if line.startswith(MARK)]
    if said:
        return "\n".join(said)
    if "Traceback (most recent call last)" in output:
        raise FlashingError(explain(tool, port, output))
    return output
