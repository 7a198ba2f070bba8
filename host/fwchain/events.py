"""The event log: one JSON object a line, which everything writes and everything reads.

A line has `ts` (seconds since 1970, with fraction) and `event` (its kind); the other fields belong to the kind.
Bytes are written as hex. Lines are appended whole, so that several processes may share a file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LINE_LIMIT = 64 * 1024
POLL_S = 0.05


def plain(value: Any) -> Any:
    """What JSON has no form for, in one that it has: bytes as hex, paths and the rest as text."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return str(value)


class Log:
    """Appends events to a file; `path` None keeps none (an embedded service without a log)."""

    def __init__(self, path: Path | str | None, **common: Any) -> None:
        """`common` fields are added to each event, such as the name of the process."""
        self.path = Path(path) if path is not None else None
        self.common = common

    def emit(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Append one event and return it."""
        event = {"ts": round(time.time(), 3), "event": kind, **self.common, **fields}
        self.write(event)
        return event

    def write(self, event: dict[str, Any]) -> None:
        """Append an event that was made elsewhere."""
        if self.path is None:
            return
        line = json.dumps(event, default=plain, separators=(",", ":"), ensure_ascii=False)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode()[: LINE_LIMIT - 1] + b"\n")
        finally:
            os.close(handle)


class Reader:
    """Reads a log from where it stopped last. A file that is not there yet is an empty one."""

    def __init__(self, path: Path | str, from_start: bool = True) -> None:
        self.path = Path(path)
        self._offset = 0
        self._rest = b""
        if not from_start and self.path.exists():
            self._offset = self.path.stat().st_size

    def read(self) -> list[dict[str, Any]]:
        """The events that came since the last call; a line that is no event is skipped."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for event in map(_event, lines) if event is not None]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value else None


def read(path: Path | str) -> list[dict[str, Any]]:
    """Every event of a log."""
    return Reader(path).read()


def follow(
    path: Path | str, from_start: bool = True, until: Callable[[], bool] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield events as they come, until `until()` is true (never, without one)."""
    reader = Reader(path, from_start)
    while True:
        ended = until() if until else False
        yield from reader.read()
        if ended:
            return
        time.sleep(POLL_S)
