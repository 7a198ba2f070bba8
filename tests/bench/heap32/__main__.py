"""`make bench-heap32`: the heap that fwnode takes of a 32-bit MicroPython, loaded from .mpy files as `make deploy`
leaves them, and waiting for its next check.

Objects on an ESP32 have 32 bits, those of the virtual board's interpreter 64. So this runs on MicroPython's
WebAssembly port, an npm package, in Node.js; without them it says what is missing. What that port lacks of a board
stands in board.py: flash and NVS are those of an enrolled virtual board, and no network answers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[1].parent / "system"))

from rich.console import Console
from rich.table import Table
from update_support import Fleet

from fwchain.board import provision
from fwchain.board.enrol import enrol
from fwchain.board.virtual import VirtualBoard
from fwchain.errors import EXIT_SETUP
from fwchain.flashing import mpy

HERE = Path(__file__).parent
PACKAGE = "@micropython/micropython-webassembly-pyscript"
VERSION = "1.27.0"
PLACE = HERE.parents[2] / "build" / "heap32"
BUDGET = 70 * 1024
RESIDENT = 38 * 1024
ALL = 96 * 1024
LAYOUTS = (12_000_000, 13_000_000, 14_000_000)  # bytes of a heap of 16 MiB that lie before all else
AT_ONCE = 3
KEYS = ("sk", "pk", "cert", "genesis")


def library() -> Path:
    """The npm package's module, installed on first use; what is missing is said, with exit code 3."""
    path = PLACE / "node_modules" / PACKAGE / "micropython.mjs"
    if shutil.which("node") is None:
        missing("Node.js 18 or later: install it (Debian: nodejs)")
    if not path.exists():
        if shutil.which("npm") is None:
            missing(f"npm, to fetch {PACKAGE}: install it (Debian: npm)")
        PLACE.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(PLACE), f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            missing(f"{PACKAGE}@{VERSION}, and npm could not install it:\n{done.stderr.strip()}")
    return path


def missing(what: str) -> NoReturn:
    """Say what this machine lacks, and end."""
    print(f"heap32 needs {what}", file=sys.stderr)
    sys.exit(EXIT_SETUP)


def make_board(folder: Path) -> Path:
    """The files of an enrolled board with deployed fwnode, in a folder; its flash and NVS beside them."""
    out = folder / "files"
    fleet = Fleet(folder)
    running = fleet.release("1.0.0")
    with VirtualBoard.create(folder / "board") as board:
        board.flash_image(0, running.image)
        enrol(board, fleet.network, running.release)
        files = {
            path: provision.read_file(board.flash, board.table, path)
            for path in provision.list_files(board.flash, board.table)
        }
        values = {key: provision.read_nvs(board.flash, board.table, "fwchain", key) for key in KEYS}
        files["/nvs.json"] = json.dumps({k: v.hex() for k, v in values.items() if isinstance(v, bytes)}).encode()
        files["/flash.bin"] = board.flash.read(0, board.table.ota_slots[0].end)
    files["/board.py"] = (HERE / "board.py").read_bytes()
    mentions = [files["/board.py"], (HERE / "run.mjs").read_bytes()]
    files.update(mpy.library(mentions))
    files["/modules.json"] = json.dumps(sorted({*map(module_of, mpy.modules(mentions))} - {"fwnode.unpack"})).encode()
    for path, data in files.items():
        target = out / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return out


def measure(module: Path, files: Path) -> dict[str, Any]:
    """The smallest of what run.mjs finds with each of LAYOUTS; SystemExit with its words when it failed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:  # they wait most of the time
        return min(pool.map(lambda before: _measured(module, files, before), LAYOUTS), key=lambda one: one["taken"])


def _measured(module: Path, files: Path, before: int) -> dict[str, Any]:
    command = ["node", str(HERE / "run.mjs"), str(module), str(files), str(before)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise SystemExit(f"heap32: Node.js ended with {done.returncode}:\n{done.stderr[-3000:]}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    last = report["events"][-1][0] if report["events"] else "nothing"
    if report["bits"] != 32 or last != "unanswered":
        raise SystemExit(f"heap32: the node did not come to its rest: {last}\n{report['events']}")
    return report


def sizes(modules: Collection[str]) -> tuple[int, int]:
    """Bytes of .mpy: of the modules that stay loaded, and of all."""
    modules = {"fwnode.unpack" if name == "fwnode" else name for name in modules}
    resident = everything = 0
    for path, data in mpy.modules().items():
        everything += len(data)
        resident += len(data) if module_of(path) in modules else 0
    return resident, everything


def module_of(path: str) -> str:
    """The module that a deployed board makes of this file below fwnode."""
    return "fwnode." + path.removesuffix(".mpy").removesuffix("/__init__").replace("/", ".")


def main() -> None:
    """Measure and print."""
    module = library()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(module, make_board(Path(folder)))
    resident, everything = sizes(report["modules"])
    flash = sum(map(len, mpy.library().values()))
    if "--json" in sys.argv:
        print(json.dumps({**report, "resident": resident, "mpy": everything, "flash": flash}))
        return
    table = Table("what", "bytes", "at most", title=f"fwnode on a 32-bit MicroPython {report['version']}")
    for name, value, limit in (
        ("heap: loaded and waiting for its next check", report["taken"], BUDGET),
        ("  of it: code and constants of what stays loaded", report["code"], ""),
        ("  of it: names, of all that was ever loaded", report["names"], ""),
        ("  of it: buffers for uploads and downloads", report["buffers"], ""),
        (".mpy that stays loaded", resident, RESIDENT),
        (".mpy of all modules", everything, ""),
        ("  packed, as it lies in flash", flash, ALL),
    ):
        table.add_row(name, f"{value:,}", f"{limit:,}" if limit else "")
    console = Console()
    console.print(table)
    over = report["taken"] > BUDGET or resident > RESIDENT or flash > ALL
    console.print("over its budget" if over else "within its budget")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
