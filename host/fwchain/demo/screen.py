"""What the demo shows: a heading a step, lines as things happen, progress bars, and the table at the end."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

# What a board says, in words; {} fields are the event's. Other events are not shown.
WORDS = {
    "started": "runs {version}, its application says {app}",
    "current": "{version} is current and untampered ({case})",
    "offered": "is offered {version} ({case})",
    "tampered": "[yellow]its firmware is not the signed one[/]",
    "ahead": "{why} (C2-1)",
    "answering": "answers a fellow that runs {theirs}",
    "block": "made the block of what it answered, {logs} logs",
    "unanswered": "[yellow]is not answered[/] ({why})",
    "downloaded": "has all of {version}",
    "installed": "{version} is in {slot}; it resets",
    "self-test": "{version}: self-test {verdict}",
    "confirmed": "[green]{version} is confirmed[/]",
    "repaired": "[green]{version} is repaired[/]",
    "giving-up": "[yellow]{version}: gives up ({reason}); it resets[/]",
    "rolled-back": "[yellow]came back from {version} by rollback[/] ({why})",
    "refused": "does not try {version} again ({reason})",
    "failed": "[red]{version}: {why}[/]",
    "error": "[red]{what}: {why}[/]",
}


class Screen:
    """A console with steps, bars and the final table."""

    def __init__(self, console: Console, boards: list[str], steps: int, columns: bool = True) -> None:
        """`columns`: each board has one in the final table."""
        self.console = console
        self.boards = boards
        self.steps = steps
        self.columns = boards if columns else []
        self.began = time.monotonic()
        self.rows: list[tuple[str, str, list[str]]] = []
        self._number = 0
        self._said: set[tuple[str, str]] = set()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    # while it runs

    def step(self, title: str) -> None:
        """A heading."""
        self._number += 1
        self._said.clear()
        self.console.print()
        place = f"{self._number}/{self.steps}"
        self.console.rule(f"[bold]{place}  {title}[/]  {self.elapsed()}", align="left", style="cyan")

    def command(self, *words: object) -> None:
        """A command as a person would type it."""
        self.console.print(f"[bold]$ fwchain {' '.join(str(word) for word in words)}[/]", highlight=False)

    def say(self, text: str) -> None:
        """A line."""
        self.console.print(f"  {text}", highlight=False)

    def output(self, text: str) -> None:
        """What a command printed."""
        for line in text.rstrip().splitlines():
            self.console.print(f"  {line}", style="dim", highlight=False, markup=False)

    def event(self, board: str, event: dict[str, Any]) -> None:
        """Show a board's event, once a step; move its bar."""
        kind = event["event"]
        if kind == "swarm-progress":
            self._advance(board, event["pieces"] - event["left"], event["pieces"])
        elif kind == "downloaded":
            self._advance(board, 1, 1)
        text = WORDS.get(kind)
        if text is None or board not in self.boards:
            return
        fields = {"verdict": "passed" if event.get("passed") else "failed", "app": "nothing", **event}
        try:
            line = text.format(**fields)
        except KeyError:
            return
        if (board, line) not in self._said:
            self._said.add((board, line))
            self.console.print(f"  [bold]{board}[/]  {line}", highlight=False)

    def elapsed(self) -> str:
        """Seconds since the beginning."""
        return f"{time.monotonic() - self.began:.0f} s"

    # bars

    def __enter__(self) -> Screen:
        """Show a bar for each board until the block ends."""
        self._progress = Progress(
            TextColumn("  [bold]{task.description}[/]"),
            BarColumn(40),
            TextColumn("{task.completed:.0f} of {task.total:.0f} pieces"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._tasks = {name: self._progress.add_task(name, total=1, visible=False) for name in self.boards}
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()
        self._progress = None

    def _advance(self, board: str, done: int, total: int) -> None:
        if self._progress and board in self._tasks:
            self._progress.update(self._tasks[board], completed=done, total=total, visible=done < total)

    # the end

    def seen(self, what: str, whole: str = "", boards: dict[str, str] | None = None) -> None:
        """A row of the final table: for the network as a whole, or a word a board."""
        self.rows.append((what, whole, [(boards or {}).get(name, "") for name in self.columns]))

    def table(self) -> None:
        """The final table, and how long it took."""
        table = Table(title="What was seen", title_justify="left", title_style="bold")
        table.add_column("")
        table.add_column("network")
        for name in self.columns:
            table.add_column(name, justify="right")
        for what, whole, cells in self.rows:
            table.add_row(what, whole, *cells)
        self.console.print()
        self.console.print(table)
        self.console.print(f"[bold green]every step was observed, in {self.elapsed()}[/]")
