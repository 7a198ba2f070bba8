"""POST /chain/block: a block from a board, which has no room to wrap it into a message. The block says by itself who
signed it and what work it shows.
"""

from __future__ import annotations

from aiohttp import web

from fwchain.chainstore.errors import StoreError
from fwchain.chainstore.ledger import Ledger
from fwchain.chainstore.store import Orphan
from fwnode.chain.head import MAX_BLOCK
from fwnode.errors import FwError
from fwnode.wire import WireError

PATH = "/chain/block"


def route(ledger: Ledger) -> web.RouteDef:
    """The route over a full node's ledger.

    200 taken or known · 400 malformed · 403 breaks a rule · 409 its parent is not here (yet) · 413 too large · 503.
    """

    async def give(request: web.Request) -> web.Response:
        if (request.content_length or 0) > MAX_BLOCK:
            raise web.HTTPRequestEntityTooLarge(MAX_BLOCK, request.content_length or 0)
        data = await request.read()
        try:
            added = await ledger.keep_block(data, request.remote or "")
        except StoreError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": "5"}) from error
        except Orphan as error:
            return web.Response(status=409, text=f"{error}\n")
        except FwError as error:
            ledger.counters.drop(error)
            return web.Response(status=400 if isinstance(error, WireError) else 403, text=f"{error}\n")
        return web.json_response({"status": added.status, "height": added.height})

    return web.post(PATH, give)
