"""Tasks end, also one that lost a cancellation."""

from __future__ import annotations

import asyncio

from fwchain import tasks


def test_a_task_that_loses_its_cancellation_is_cancelled_again() -> None:
    async def main() -> None:
        lost = []

        async def stubborn() -> None:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    lost.append(1)
                    if len(lost) == 2:
                        raise

        async def broken() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("on its way out")

        going = [asyncio.create_task(stubborn()), asyncio.create_task(broken()), asyncio.create_task(asyncio.sleep(0))]
        await asyncio.sleep(0)
        await tasks.end(going)
        assert all(task.done() for task in going) and len(lost) == 2
        await tasks.end([])

    asyncio.run(main())
