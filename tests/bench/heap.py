"""`make bench-heap`: the smallest heap in which a whole update passes, the heap at each stage, and the .mpy budget.

A whole update is C1-1, C1-2 of an image above 1.4 MiB, download, install, reset, self-test, confirmation, log. The
smallest heap is found by bisection over virtual boards; what the virtual board's own esp32, machine and network modules
take (they are C on a real one) is not counted. Figures are the 64-bit Unix port's, where objects are twice as large
as on an ESP32.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "system"))

from rich.console import Console
from rich.table import Table
from update_support import Fleet, Update

from fwchain.board import compact
from fwchain.board.launcher import RUNTIME_HEAP

HEAP_OF_A_BOARD = 192 * 1024
LEAST = 96 * 1024
STEP = 2 * 1024
FILLER = 1_330_000
BUDGET = 38 * 1024  # bytes of .mpy that may stay loaded
MOST_STAGES = 200  # of a board that gets there; one that does not is given up

APP = """
import gc
import json
import sys

from build_info import VERSION


def self_test():
    return True


def on_state(state, facts):
    gc.collect()
    row = {"event": "heap", "stage": state, "taken": gc.mem_alloc(), "free": gc.mem_free()}
    if state == "current":
        row["modules"] = [name for name in sys.modules if name.startswith("fwnode")]
    print(json.dumps(row))
"""


def update_in(heap: int, old: Update, new: Update, fleet: Fleet) -> list[dict]:
    """The stages of a whole update with a heap of so many bytes; empty when it did not pass."""
    from fwchain.board.enrol import enrol
    from fwchain.board.virtual import VirtualBoard

    board = VirtualBoard.create(fleet.folder / f"heap-{heap}", heap=heap)
    fleet.boards.append(board)
    board.flash_image(0, old.image)
    enrol(board, fleet.network, old.release, check_s=0.3, retry_s=0.3)
    board.start()
    try:
        seen = []
        for _ in range(MOST_STAGES):
            event = fleet.wait(board, "heap", timeout=20)
            seen.append(event)
            if event["stage"] == "updated":
                return [*seen, fleet.wait(board, "heap", stage="current", timeout=20)]
            if "memory allocation failed" in board.console():  # the node itself goes on and tries again
                return []
        return []
    except AssertionError:
        return []
    finally:
        board.stop()


def smallest(old: Update, new: Update, fleet: Fleet) -> int:
    """The smallest heap that passes, to within STEP."""
    low, high = LEAST, HEAP_OF_A_BOARD
    while high - low > STEP:
        middle = (low + high) // 2
        if update_in(middle, old, new, fleet):
            high = middle
        else:
            low = middle
    return high


def mpy_sizes(resident: set[str]) -> dict[str, list[int]]:
    """Package → bytes of .mpy: [of the modules that stay loaded, of those that are loaded on demand]."""
    sizes: dict[str, list[int]] = {}
    for path, code in compact.library().items():
        if path == compact.UNPACKED:
            continue
        module = ("fwnode/" + path).removesuffix(".mpy").replace("/", ".").removesuffix(".__init__")
        row = sizes.setdefault(path.split("/")[0] if "/" in path else "(fwnode itself)", [0, 0])
        row[0 if module in resident else 1] += len(code)
    return sizes


def mpy_table(sizes: dict[str, list[int]]) -> Table:
    """Those bytes as a table."""
    table = Table("package", "resident", "on demand")
    for name, (stays, comes) in sorted(sizes.items()):
        table.add_row(name, f"{stays:,}", f"{comes:,}")
    stays, comes = (sum(row[column] for row in sizes.values()) for column in (0, 1))
    table.add_section()
    table.add_row("all", f"{stays:,} of {BUDGET:,}", f"{comes:,}")
    return table


def main() -> None:
    """Measure and print."""
    console = Console()
    with tempfile.TemporaryDirectory() as name, Fleet(Path(name)) as fleet:
        old = fleet.release("1.0.0", app=APP)
        new = fleet.release("1.1.0", size=FILLER, app=APP)
        fleet.publish(old)
        fleet.publish(new)
        stages = update_in(HEAP_OF_A_BOARD, old, new, fleet)
        if not stages:
            console.print(f"the update does not pass in {HEAP_OF_A_BOARD:,} bytes")
            sys.exit(1)
        console.print(f"heap of {HEAP_OF_A_BOARD // 1024} KB after a collection, bytes")
        table = Table("stage", "taken", "free")
        for stage in stages:
            taken = stage["taken"] - RUNTIME_HEAP
            table.add_row(stage["stage"], f"{taken:,}", f"{stage['free']:,}")
        console.print(table)
        console.print(".mpy as deployed, bytes")
        console.print(mpy_table(mpy_sizes(set(stages[-1]["modules"]))))
        with console.status("bisecting"):
            least = smallest(old, new, fleet)
        console.print(f"smallest heap in which the whole update passes: {least:,} bytes ({least // 1024} KB)")


if __name__ == "__main__":
    main()
