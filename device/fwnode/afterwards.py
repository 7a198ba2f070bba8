"""What the roles of C2 leave to be done when they are let go, one thing at a time. Loaded for it.

Each function takes `door`, the board's fwnode.broadcasts.Broadcasts.
"""

import asyncio

from fwnode.compat import const, tidy
from fwnode.errors import FwError

_CLOSE = const(4096)  # bytes between two collections: garbage must not lie between what stays
_PAUSE_S = const(1)
_MAX_SHORT = const(4)  # times that the heap may run short over the blocks that wait


async def catch_up(door) -> None:  # type: ignore[no-untyped-def]
    """Newer trust roots of a fellow."""
    sources, newest = door.behind
    door.behind = None
    await door.node.catch_up(sources, newest)


async def fetch(door) -> None:  # type: ignore[no-untyped-def]
    """M and L of what the roles found."""
    from fwnode import fetching

    tidy()
    wanted, door.fetch = door.fetch, None
    k, r, fellows, found = wanted
    try:
        got = await fetching.fetch(door.node, k, r, fellows)
        if found is None:
            door.node.offer(got)
        elif got is not None:
            found.release, found.peers, found.repair = got.release, got.peers, got.repair
            found.row["res"] = got.row["res"]
    finally:
        if found is not None:
            door.answer(found)


async def chain(door) -> None:  # type: ignore[no-untyped-def]
    """Blocks: announced ones first, then this board's own."""
    logs = door.logs
    try:
        from fwnode.blocks import Blocks

        tidy(_CLOSE)
        await Blocks(door.node, door).run()
        door.short = 0
    except MemoryError:
        door.short += 1
        if door.short >= _MAX_SHORT:
            _drop_blocks(door)
            raise
        door.logs = logs  # once more, when what else runs has come to its end
        await asyncio.sleep(_PAUSE_S)
        door.work.set()
    except (FwError, OSError):
        _drop_blocks(door)
        raise
    finally:
        tidy()


def _drop_blocks(door) -> None:  # type: ignore[no-untyped-def]
    """Nothing comes of what waits for the chain."""
    door.short = 0
    door.heads.clear()
    door.logs.clear()
