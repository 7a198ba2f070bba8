"""One node of test_chain_network: a store, its HTTP face, sync with the others, and logs and blocks of its own.

    python chain_node.py FOLDER NUMBER SECONDS

Prints {"url": …}; reads one JSON list of the others' URLs; makes logs and, as a normal node (number 0: as the
verification node), blocks for SECONDS; then only syncs. Prints its state twice a second, until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))

from aiohttp import web

from chain_parts import Network
from fwchain.chainstore import Miner, Store
from fwchain.chainstore.ledger import Ledger
from fwchain.chainstore.level import Level
from fwchain.chainstore.web import routes
from fwnode.errors import FwError

DIFFICULTY = 2000
LOGS_AT_ONCE = 3


def clock() -> float:
    return time.time()


class Node:
    """The store and what this node adds to it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.net = Network(difficulty=DIFFICULTY)
        self.number = number
        self.store = Store(folder / f"{number}.db", self.net.genesis.data, [self.net.root_data], clock)
        self.miner = Miner(self.store, self.net.node)
        self.made = 0
        # after a restart the exchanges are new ones: r goes on with the time
        self.r = int(time.time() * 1000) % (1 << 40)

    def add_log(self) -> None:
        """One more log, of one of this node's ten boards."""
        board = 1000 * (self.number + 1) + self.made % 10
        self.store.add_log(self.net.log(board, r=self.r + self.made, ts=int(clock())))
        self.made += 1

    def make_block(self) -> None:
        """A normal node's block of what waits in the pool."""
        logs = self.store.pool(LOGS_AT_ONCE)
        if logs:
            self.store.add_block(self.net.by_board(900 + self.number, self.store.link(), logs, int(clock())))

    def work(self) -> None:
        """Some logs, and perhaps a block; another node may be a moment earlier."""
        self.add_log()
        if self.number and random.random() < 0.6:
            try:
                self.make_block()
            except FwError as error:
                if "already in this branch" not in str(error):
                    raise

    def state(self) -> dict[str, object]:
        """What the test looks at."""
        tip = self.store.tip()
        return {"tip": tip.hash.hex(), "height": tip.height, "made": self.made, "pool": len(self.store.pool(1000))}


async def main(folder: Path, number: int, seconds: float) -> None:
    node = Node(folder, number)
    app = web.Application()
    app.add_routes(routes(node.store))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)
    others = json.loads(await asyncio.to_thread(sys.stdin.readline))
    ledger = Ledger(node.store, lambda kind, **fields: None)
    level = Level(ledger, others, 0.3, lambda kind, **fields: None)
    ledger.start()
    level.start()
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    until = time.monotonic() + seconds
    while not ended.done():
        if time.monotonic() < until:
            await asyncio.to_thread(node.work)
            await asyncio.sleep(random.uniform(0.05, 0.3))
        else:
            if number == 0:
                await asyncio.to_thread(node.miner.flush)
            print(json.dumps(await asyncio.to_thread(node.state)), flush=True)
            await asyncio.sleep(0.5)
    await level.stop()
    await ledger.stop()
    await runner.cleanup()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
