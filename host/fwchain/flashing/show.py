"""What a person sees while a board is worked on: one line a step, a progress bar where one takes
time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Show:
    """Steps on the terminal, or one JSON object a line (`as_json`)."""

    def __init__(self, as_json: bool = False, console: Console | None = None) -> None:
        self.as_json = as_json
        self.console = console or Console(highlight=False)

    def say(self, text: str, **fields: Any) -> None:
        """One thing that was done or found."""
        if self.as_json:
            print(json.dumps({"message": text, **fields}), flush=True)
        else:
            self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str, total: float = 100.0) -> Iterator[Callable[[float], None]]:
        """A step with a bar; the function that it gives takes how far it is, of `total`."""
        if self.as_json or not self.console.is_terminal:
            self.say(text)
            yield lambda done: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(text, total=total)
            yield lambda done: bar.update(task, completed=done)
            bar.update(task, completed=total)
