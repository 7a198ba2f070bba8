"""Every test file of this folder runs twice: here on CPython, and on MicroPython with a board's heap.

A file `test_x.py` is collected as usual, and once more as `test_x.py::micropython::…`. One MicroPython process
runs a whole file; each of its functions is reported by itself.
"""

from __future__ import annotations

import ast
import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fwchain.board.compact import Compact

    Files = dict[str, bytes]

HERE = Path(__file__).parent
DEVICE = HERE.parent.parent / "device"
HEAP = "192k"
TIMEOUT_S = 240
HOST_ONLY = ("conftest.py", "on_micropython.py", "verification_node.py")

sys.path.insert(0, str(HERE))


@functools.cache
def romfs() -> Path:
    """A ROMFS with fwnode and these tests, compiled; built once a session. With FWCHAIN_NAMES=short fwnode has the
    names that it has on a board, and the tests with it.
    """
    from fwchain.board.image import build_romfs, collect, compile_files

    fwnode = collect(DEVICE / "fwnode")
    tests = {path.name: path.read_bytes() for path in HERE.glob("*.py") if path.name not in HOST_ONLY}
    if os.environ.get("FWCHAIN_NAMES") == "short":
        fwnode, tests = shortened(fwnode, tests)
    files = {**{f"fwnode/{path}": data for path, data in fwnode.items()}, **tests}
    handle, name = tempfile.mkstemp(prefix="fwchain-tests-", suffix=".romfs")
    with os.fdopen(handle, "wb") as out:
        out.write(build_romfs(compile_files(files)))
    atexit.register(Path(name).unlink, missing_ok=True)
    return Path(name)


def shortened(fwnode: Files, tests: Files) -> tuple[Files, Files]:
    """Both with the short names that a board's part of fwnode has."""
    from fwchain.board import closure
    from fwchain.board.compact import Compact

    own = closure.needed(fwnode)
    names = Compact(own, users={**{path: fwnode[path] for path in fwnode if path not in own}, **tests})
    return rename(names, fwnode), rename(names, tests)


def rename(names: Compact, files: Files) -> Files:
    return {path: names.rename(data) for path, data in files.items()}


class MicroPythonFile(pytest.File):
    """One file's tests on MicroPython."""

    outcomes: dict[str, str | None] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        tree = ast.parse(self.path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield MicroPythonItem.from_parent(self, name=f"{node.name}[micropython]")

    def run(self) -> dict[str, str | None]:
        if self.outcomes is None:
            self.outcomes = self._run()
        return self.outcomes

    def _run(self) -> dict[str, str | None]:
        done = subprocess.run(
            [sys.executable, str(HERE / "on_micropython.py"), str(romfs()), HEAP, self.path.stem],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=HERE,
            stdin=subprocess.DEVNULL,
        )
        outcomes: dict[str, str | None] = {}
        for line in done.stdout.splitlines():
            if line.startswith('{"'):
                row = json.loads(line)
                if "test" in row:
                    outcomes[row["test"]] = row["error"]
        outcomes["*"] = f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return outcomes


class MicroPythonItem(pytest.Item):
    """One test function on MicroPython."""

    def runtest(self) -> None:
        name = self.name.split("[")[0]
        outcomes = self.parent.run()  # type: ignore[union-attr]
        error = outcomes.get(name, "the process ended before this test\n" + str(outcomes["*"]))
        if error:
            raise AssertionError(error)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}: {self.name}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> MicroPythonFile | None:
    if file_path.parent == HERE and file_path.name.startswith("test_") and file_path.suffix == ".py":
        return MicroPythonFile.from_parent(parent, path=file_path)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the verification node that some of these tests talk to, once, when one of them is to run."""
    needy = {path for path in {item.path for item in items} if path.parent == HERE and "world" in path.read_text()}
    if needy and "FWCHAIN_WORLD" not in os.environ:
        from verification_node import World

        os.environ["FWCHAIN_WORLD"] = str(World().start())


def pytest_unconfigure() -> None:
    """Take the world's file away."""
    world = os.environ.pop("FWCHAIN_WORLD", None)
    if world:
        Path(world).unlink(missing_ok=True)
