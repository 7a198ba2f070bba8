"""What a virtual board prints: kept in console.log, its events in events.jsonl, each line shown to whoever asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from fwchain.events import Log

LINE_LIMIT = 65536
BOOTED = "boot: Loaded app from partition at offset"


class Output:
    """Takes a board's output in pieces. `on_boot(offset)` is told which partition the boot loader loaded."""

    def __init__(
        self,
        folder: Path,
        name: str,
        events: Log,
        on_boot: Callable[[int], None],
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._file = open(folder / "console.log", "ab", buffering=0)  # noqa: SIM115 held while powered
        self._name = name
        self._events = events
        self._on_boot = on_boot
        self._on_line = on_line
        self._rest = b""

    def take(self, data: bytes) -> None:
        """The next bytes."""
        self._file.write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace").rstrip("\r"))
        if len(self._rest) > LINE_LIMIT:
            self.flush()

    def flush(self) -> None:
        """The process has ended: what stands in the last line is a line."""
        if self._rest:
            line, self._rest = self._rest, b""
            self._line(line.decode(errors="replace"))

    def close(self) -> None:
        """No more comes."""
        self.flush()
        self._file.close()

    def _line(self, line: str) -> None:
        if line.startswith("{") and '"event"' in line:
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                self._events.write({**event, "ts": round(time.time(), 3), "board": self._name})
        elif BOOTED in line:
            self._on_boot(int(line.rsplit(" ", 1)[1], 16))
        if self._on_line is not None:
            self._on_line(line)
