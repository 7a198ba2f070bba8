"""From reset to a running node: what booted, and the network.

What is needed rarely is loaded once here and let go again: from then on its names are in MicroPython's table of names,
which would otherwise grow later, by one block of up to 14 KB that a fragmented heap does not have.
"""

import asyncio

from fwnode.app import Application
from fwnode.clock import Clock
from fwnode.compat import drive, forget, ticks_diff, ticks_ms, tidy
from fwnode.config import load
from fwnode.errors import FwError
from fwnode.net import wifi
from fwnode.net.lan import Lan
from fwnode.node import CHECKING, FOLLOWING, UPDATING, Node, begin_anew
from fwnode.rare import ASKING
from fwnode.settings import ConfigError
from fwnode.swarm.router import PEERING
from fwnode.update.boot import Boot
from fwnode.update.files import FileStore
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots
from fwnode.updating import DOWNLOADING, TRIAL_TRIES, give_up


async def start(app):  # type: ignore[no-untyped-def]
    """The node of this board, joined to its network, the application running beside it; None without provisioning.

    The application needs neither: without provisioning it has run to its end here. Raises FwError.
    """
    try:
        config = load()
    except ConfigError as error:
        print(error)
        work = Application(app, False).main(None)
        if work is not None:
            await work
        return None
    hooks = Application(app, config.events)
    try:
        node = await build(config, hooks)
        work = hooks.main(node)
        if work is not None:
            hooks.task = asyncio.create_task(work)  # CPython's event loop does not keep it by itself
        await join(node)
        return node
    except Exception as error:  # noqa: BLE001 - whatever it was: nobody can reach this board, so it begins anew
        await begin_anew(hooks, config, _reset(), error)


def _reset():  # type: ignore[no-untyped-def]
    """What resets the board: no function of this module, which would hold all of it for as long as the node runs."""
    import machine

    return machine.reset


async def build(config, hooks) -> Node:  # type: ignore[no-untyped-def]
    """The node of this board, its boot checked, without a network yet; raises FwError."""
    warm_up()
    keys = KeyStore()
    boot = Boot(Slots(), keys, FileStore())
    await drive(boot.check())
    forget(*CHECKING)
    return Node(config, hooks, boot, Clock(keys), _reset())


async def join(node) -> None:  # type: ignore[no-untyped-def]
    """Join a network, as often as it takes; but a release on trial that gets none is rolled back."""
    config, boot = node.config, node.boot
    begun = ticks_ms()
    tries = 0
    while not node.ip:
        try:
            node.ip, node.mask = await wifi.connect(config.wifi)
        except FwError as error:
            node.hooks.state("offline", why=str(error))
            tries += 1
            if boot.trial and tries >= TRIAL_TRIES:
                give_up(node, "network")
            await asyncio.sleep(config.retry_s)
    node.local = node.ip if node.ip.startswith("127.") else None
    if config.group:
        node.lan = Lan(config.group, config.group_port, node.local)
    node.hooks.state(
        "started",
        version=boot.version,
        app=node.hooks.version,
        ip=node.ip,
        port=config.port,
        slot=boot.place,
        genuine=boot.genuine,
        trial=boot.trial,
        ms=ticks_diff(ticks_ms(), begun),
    )


def warm_up() -> None:
    """Load and let go what only a check or an update needs (see above)."""
    for names in (
        ("fwnode.checking", "fwnode.blocks", "fwnode.following", "fwnode.ledger", "fwnode.roots"),
        ("fwnode.neighbours", "fwnode.asking", "fwnode.fetching", "fwnode.roles.confirming", "fwnode.roles.response"),
        ("fwnode.afterwards", "fwnode.downloading", "fwnode.update.install"),
    ):
        tidy(2048)
        for name in names:
            __import__(name)
        forget(*CHECKING, *UPDATING, *FOLLOWING, *DOWNLOADING, *PEERING, *ASKING)
