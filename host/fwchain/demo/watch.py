"""Waiting for what must happen, by the event logs of all processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fwchain.errors import HostError
from fwchain.events import POLL_S, Reader

Event = dict[str, Any]
SHOWN = 6  # events that an error shows of a log


class NotSeen(HostError):
    """Something that had to happen did not, in time."""


class Expected:
    """An event of a kind whose fields have the given values; a callable value judges its field."""

    def __init__(self, kind: str, **fields: Any) -> None:
        self.kind = kind
        self.fields = fields

    def __call__(self, event: Event) -> bool:
        return event["event"] == self.kind and all(
            value(event.get(name)) if callable(value) else event.get(name) == value
            for name, value in self.fields.items()
        )

    def __str__(self) -> str:
        rest = ", ".join(f"{name}={value}" for name, value in self.fields.items() if not callable(value))
        return f"{self.kind} ({rest})" if rest else self.kind


class Watch:
    """The event logs of several processes, read as they grow."""

    def __init__(self, alive: Callable[[], None]) -> None:
        """`alive` raises when a process that must run has ended."""
        self.alive = alive
        self.history: dict[str, list[Event]] = {}
        self._readers: dict[str, Reader] = {}
        self._from: dict[str, int] = {}

    def add(self, name: str, path: Path) -> None:
        """Read a further log, from its beginning."""
        self._readers[name] = Reader(path)
        self.history[name] = []
        self._from[name] = 0

    def poll(self) -> list[tuple[str, Event]]:
        """What is new."""
        found = []
        for name, reader in self._readers.items():
            events = reader.read()
            self.history[name] += events
            found += [(name, event) for event in events]
        return found

    def mark(self, *names: str) -> None:
        """A step begins: `expect` looks at what comes from here on, in the logs of all or of `names`."""
        self.poll()
        self._from |= {name: len(self.history[name]) for name in names or self.history}

    def since_mark(self, name: str) -> list[Event]:
        """The events of a log since the step began."""
        return self.history[name][self._from[name] :]

    def expect(
        self,
        wanted: Mapping[str, Sequence[Expected]],
        timeout_s: float,
        on_event: Callable[[str, Event], None] | None = None,
    ) -> dict[str, list[Event]]:
        """Wait until each log has its wanted events, in their order; other events may stand between them.

        Returns them. Raises NotSeen, which shows what is missing and what was seen last.
        """
        end = time.monotonic() + timeout_s
        found: dict[str, list[Event]] = {name: [] for name in wanted}
        at = {name: self._from[name] for name in wanted}
        while True:
            new = self.poll()
            for name, event in new:
                if on_event:
                    on_event(name, event)
            for name, row in wanted.items():
                history = self.history[name]
                while at[name] < len(history) and len(found[name]) < len(row):
                    event = history[at[name]]
                    at[name] += 1
                    if row[len(found[name])](event):
                        found[name].append(event)
            if all(len(found[name]) == len(row) for name, row in wanted.items()):
                return found
            self.alive()
            if time.monotonic() > end:
                raise NotSeen(self._missing(wanted, found, timeout_s))
            time.sleep(POLL_S)

    def expect_any(
        self,
        names: Sequence[str],
        wanted: Expected,
        timeout_s: float,
        on_event: Callable[[str, Event], None] | None = None,
    ) -> tuple[str, Event]:
        """Wait until one of these logs has the wanted event; (which one, the event). Raises NotSeen."""
        end = time.monotonic() + timeout_s
        while True:
            for name, event in self.poll():
                if on_event:
                    on_event(name, event)
            for name in names:
                for event in self.since_mark(name):
                    if wanted(event):
                        return name, event
            self.alive()
            if time.monotonic() > end:
                raise NotSeen(f"not seen within {timeout_s:g} s at any of {', '.join(names)}: {wanted}")
            time.sleep(POLL_S)

    def _missing(
        self, wanted: Mapping[str, Sequence[Expected]], found: Mapping[str, list[Event]], timeout_s: float
    ) -> str:
        lines = [f"not seen within {timeout_s:g} s:"]
        for name, row in wanted.items():
            if len(found[name]) == len(row):
                continue
            lines.append(f"  {name}: {row[len(found[name])]}; its last events were")
            for event in self.history[name][-SHOWN:]:
                fields = " ".join(
                    f"{key}={value}" for key, value in event.items() if key not in ("ts", "event", "board", "process")
                )
                lines.append(f"    {event['event']} {fields}"[:160])
        return "\n".join(lines)
