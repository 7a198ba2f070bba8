"""Running the real tools: where they are, what they print while they work, when they have hung."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fwchain.flashing.errors import FlashingError, explain

PERCENT = re.compile(r"(?:Writing at|Reading from) \S+ .*?([0-9.]+)%")

MODULES = {"esptool": "esptool", "mpremote": "mpremote", "ampy": "ampy.cli"}


def command(tool: str) -> list[str]:
    """How to start `tool`: the program beside this interpreter, else its module."""
    beside = Path(sys.executable).with_name(tool)
    if beside.exists():
        return [str(beside)]
    return [sys.executable, "-m", MODULES[tool]]


def run(
    tool: str,
    port: str,
    args: Sequence[object],
    *,
    timeout: float = 120.0,
    idle: float | None = None,
    progress: Callable[[float], None] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a tool to its end and return what it printed; raises FlashingError with a sentence.

    `progress` gets percents out of esptool's own bar, `on_line` every line. `timeout`
    in seconds for the whole, `idle` for the time between two lines.
    """
    process = subprocess.Popen(
        [*command(tool), *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    hung = threading.Event()

    def kill() -> None:
        hung.set()
        process.kill()

    end = time.monotonic() + timeout
    timers = [_timer(kill, timeout if idle is None else min(idle, timeout))]
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if idle is not None:
                timers.pop().cancel()
                timers.append(_timer(kill, max(0.0, min(idle, end - time.monotonic()))))
            if on_line is not None:
                on_line(line.rstrip("\n"))
            percent = PERCENT.search(line)
            if progress is not None and percent:
                progress(float(percent[1]))
        code = process.wait()
    finally:
        timers.pop().cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    output = "".join(lines)
    if hung.is_set():
        raise FlashingError(
            f"{tool} got no answer from {port} for {idle or timeout:.0f} s: was it unplugged? "
            "Reset the board and try again"
        )
    if code:
        raise FlashingError(explain(tool, port, output))
    return output


def _timer(function: Callable[[], None], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
    return timer
