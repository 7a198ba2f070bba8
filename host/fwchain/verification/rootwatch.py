"""A node that runs takes up each trust root that `fwchain root publish`, or a peer, puts into its folder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from fwnode.errors import FwError

if TYPE_CHECKING:
    from fwchain.verification.service import Service

EVERY_S = 0.5


async def watch(service: Service, publishing: web.AppRunner) -> None:
    """Look for new roots until it is cancelled; a wrong one is told once."""
    told = ""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            service.network.take_roots()
            if len(service.network.roots) > len(service.exchange.roots):
                await _take(service, publishing)
        except (FwError, OSError) as error:
            if str(error) != told:
                told = str(error)
                service._on_event("error", what="root", why=told)


async def _take(service: Service, publishing: web.AppRunner) -> None:
    roots = service.network.roots
    await asyncio.to_thread(service.chain.set_roots, [root.data for root in roots])
    service.exchange.roots = list(roots)
    withheld = await asyncio.to_thread(service.oversight.look)
    try:
        await service.open_publishing(publishing)
    except (FwError, OSError) as error:
        service._on_event("error", what="publishing", why=str(error))
    service._on_event("root", number=roots[-1].number, withheld=withheld)
    service.oversight.look_at_root()
    service.miner.notify()
