"""Carries a request node's exchange to the verification nodes, over HTTP, and its logs to everybody.

The broadcast of `req_verchk` reaches the verification nodes first: only when none answers does it go on to fellow
boards (fwnode.asking), so that none of them works for a request that is answered (paper section 4; addition 8).
"""

import asyncio

from fwnode.compat import drive
from fwnode.net import NetError
from fwnode.net.http import post
from fwnode.net.messages import PATH, BadHttp
from fwnode.roles import BROADCAST, SEND
from fwnode.wire.fields import MAX_MESSAGE

PAUSE_S = 1  # before another try


class Courier:
    """Carries out a request's actions; `nodes` are the verification nodes' URLs, `lan` may be None."""

    def __init__(self, nodes: list, lan, local: str | None, on_error) -> None:  # type: ignore[no-untyped-def]
        self.nodes = nodes
        self.lan = lan
        self.local = local
        self.on_error = on_error
        self.asked = b""  # the encoded req_verchk of the exchange that was run

    async def run(self, request):  # type: ignore[no-untyped-def]
        """Drive `request` until it ends or has a release to install; returns that last action."""
        actions = await drive(request.begin())
        self.asked = actions[0][1]
        while True:
            kind = actions[0][0]
            if kind == BROADCAST:
                actions = await self._broadcast(request, actions[0][1])
            elif kind == SEND:
                actions = await self._send(request, actions[0][1], actions[0][2])
            else:
                return actions[0]
            while not actions:
                await asyncio.sleep(PAUSE_S)
                actions = await drive(request.expire())

    async def _broadcast(self, request, data: bytes):  # type: ignore[no-untyped-def]
        actions: list = []
        for url in self.nodes:
            actions = await self._send(request, url, data)
            if actions:
                break
        return actions

    async def _send(self, request, url: str, data: bytes):  # type: ignore[no-untyped-def]
        receive = request.receive
        try:  # the answer goes straight on: a name, or a deeper place on the stack, would hold it to the exchange's end
            steps = receive(await post(url + PATH, data, MAX_MESSAGE, self.local, request.answer_ms), url)
        except NetError as error:
            self.on_error(url, str(error))
            steps = request.failed(url)
        return await drive(steps)

    async def tell(self, data: bytes, again: bool = False) -> bool:
        """Broadcast a verification log (`again`: fellows have heard it); whether a verification node took it."""
        taken = False
        if self.lan and not again:
            try:
                await self.lan.broadcast(data)
            except NetError as error:
                self.on_error("lan", str(error))
        for url in self.nodes:
            try:
                await post(url + PATH, data, MAX_MESSAGE, self.local)
                taken = True
            except NetError as error:
                self.on_error(url, str(error))
        return taken

    async def give(self, block: tuple) -> bool:
        """Offer a block, as (path, size), to the verification nodes; whether one took it (or has it, or never will)."""
        for url in self.nodes:
            try:
                await post(url + "/chain/block", block, MAX_MESSAGE, self.local)
                return True
            except BadHttp as error:
                if error.status == 403:  # it breaks a rule: no use in keeping it
                    return True
                self.on_error(url, str(error))
            except NetError as error:
                self.on_error(url, str(error))
        return False
