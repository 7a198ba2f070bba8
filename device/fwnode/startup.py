"""From reset to a running node: what booted, and the network.

What is needed rarely is loaded once here and let go again: from then on its names are in MicroPython's table of names,
which would otherwise grow later, by one block of up to 14 KB that a fragmented heap does not have.
"""

import asyncio

from fwnode.app import Application
from fwnode.clock import Clock
from fwnode.compat import drive, forget, ticks_diff, ticks_ms, tidy
from fwnode.config import ConfigError, load
from fwnode.errors import FwError
from fwnode.net import wifi
from fwnode.net.lan import Lan
from fwnode.node import CHECKING, UPDATING, Node
from fwnode.update.boot import Boot
from fwnode.update.files import FileStore
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots


async def main(app) -> None:  # type: ignore[no-untyped-def]
    """Start and run the node; an unprovisioned board says what is missing and ends here."""
    try:
        config = load()
    except ConfigError as error:
        print(error)
        return
    hooks = Application(app, config.events)
    try:
        node = await build(config, hooks)
    except FwError as error:
        hooks.state("error", what="start", why=str(error))
        await asyncio.sleep(config.retry_s)
        reset()
        return
    work = hooks.main(node)
    if work is not None:
        hooks.task = asyncio.create_task(work)  # CPython's event loop does not keep it by itself
    try:
        await node.run()
    except Exception as error:  # noqa: BLE001 - whatever it was: nobody can reach this board, so it begins anew
        hooks.state("error", what="node", why=repr(error))
        await asyncio.sleep(1)
        reset()


def reset() -> None:
    """Reset the board."""
    import machine

    machine.reset()


async def build(config, hooks) -> Node:  # type: ignore[no-untyped-def]
    """The node of this board, its boot checked; raises FwError."""
    begun = ticks_ms()
    warm_up()
    keys = KeyStore()
    boot = Boot(Slots(), keys, FileStore())
    await drive(boot.check())
    forget(*CHECKING)
    try:
        ip = await wifi.connect(config.wifi)
    except FwError:
        boot.fail("network")
        raise
    local = ip if ip.startswith("127.") else None
    lan = Lan(config.group, config.group_port, local) if config.group else None
    node = Node(config, hooks, boot, Clock(keys), ip, local, lan, reset)
    hooks.state(
        "started",
        version=boot.version,
        app=hooks.version,
        ip=ip,
        port=config.port,
        slot=boot.place,
        genuine=boot.genuine,
        trial=boot.trial,
        ms=ticks_diff(ticks_ms(), begun),
    )
    return node


def warm_up() -> None:
    """Load and let go what only a check or an update needs (see above)."""
    tidy(2048)
    import fwnode.checking
    import fwnode.headers
    import fwnode.swarm.download
    import fwnode.update.install  # noqa: F401

    forget(*CHECKING, *UPDATING)
