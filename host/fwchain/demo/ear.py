"""Hears the local network: every verification log that was told there, to be looked for in the chain at the end."""

from __future__ import annotations

import asyncio
import threading

from fwchain.chainstore.hearing import is_log
from fwnode.net.lan import Lan


class Ear:
    """Listens from the beginning to `stop`, in a thread of its own."""

    def __init__(self, group: str, port: int, local: str, net: bytes) -> None:
        """Join the group; raises NetError. `net` is the network whose logs are wanted."""
        self.logs: dict[bytes, None] = {}  # encoded logs that a block may hold, in their order
        self._lan = Lan(group, port, local)
        self._net = net
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.create_task(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        while True:
            data, _ = await self._lan.receive()
            if is_log(data, self._net):
                self.logs[data] = None

    def heard(self) -> list[bytes]:
        """The logs so far."""
        return list(self.logs)

    def stop(self) -> None:
        """Leave the group."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        self._lan.close()
