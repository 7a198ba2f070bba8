"""Tasks of an event loop come to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.5  # until one that goes on is cancelled once more


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until all have ended, with whatever error.

    Before Python 3.12 `asyncio.wait_for` loses a cancellation that comes together with what it waits for: the task
    goes on then, and hears of it again.
    """
    every = list(tasks)
    going = set(every)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=AGAIN_S)
    await asyncio.gather(*every, return_exceptions=True)
