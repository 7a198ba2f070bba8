"""From reset to a running node: network, what booted, whom to trust.

What is needed rarely is loaded once here and let go again: from then on its names are in MicroPython's table of names,
which would otherwise grow later, by one block of up to 14 KB that a fragmented heap does not have.
"""

import asyncio

from fwnode import crypto
from fwnode.app import Application
from fwnode.clock import Clock
from fwnode.compat import forget, ticks_ms, tidy
from fwnode.config import ConfigError, load
from fwnode.crypto import steps
from fwnode.errors import FwError
from fwnode.exchange import Courier, drive
from fwnode.net import wifi
from fwnode.net.lan import Lan
from fwnode.node import Node
from fwnode.roles.identity import Identity
from fwnode.trust.root import Root
from fwnode.update.boot import Boot
from fwnode.update.files import FileStore
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots

ROOT = "root"
GENESIS = "genesis"
RARE = ("fwnode.headers", "fwnode.chain", "fwnode.swarm.download", "fwnode.swarm.pieces", "fwnode.swarm.dial", "fwnode.update.install")


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
        asyncio.create_task(work)
    await node.run()


def reset() -> None:
    """Reset the board."""
    import machine

    machine.reset()


async def build(config, hooks) -> Node:  # type: ignore[no-untyped-def]
    """The node of this board, its boot checked; raises FwError."""
    begun = ticks_ms()
    warm_up()
    keys = KeyStore()
    files = FileStore()
    boot = Boot(Slots(), keys, files)
    await drive(boot.check())
    clock = Clock(keys)
    net, root = read_trust(files, keys)
    me = await identity(config, keys, net)
    try:
        ip = await wifi.connect(config.wifi)
    except FwError:
        if boot.trial:
            boot.fail("network")
        raise
    local = ip if ip.startswith("127.") else None
    lan = Lan(config.group, config.group_port, local) if config.group else None
    courier = Courier(config.nodes, lan, local, lambda where, why: hooks.state("unreached", where=where, why=why))
    node = Node(config, hooks, boot, clock, root, me, courier, ip, reset)
    hooks.state(
        "started",
        version=boot.version,
        app=hooks.version,
        ip=ip,
        port=config.port,
        slot=boot.place,
        genuine=boot.genuine,
        trial=boot.trial,
        ms=ticks_ms() - begun,
    )
    return node


def read_trust(files, keys):  # type: ignore[no-untyped-def]
    """(the network's 8 bytes, Root); raises FwError when a document is missing or not the pinned one."""
    from fwnode.chain.genesis import Genesis

    raw = files.read(GENESIS)
    pinned = keys.get("genesis")
    if raw is None or pinned is None:
        raise ConfigError("no genesis: this board is not provisioned")
    genesis = Genesis(raw, pinned)
    raw = files.read(ROOT)
    if raw is None:
        raise ConfigError("no trust root: this board is not provisioned")
    root = Root(raw)
    if root.number == 1:
        root.check_first(genesis.root_hash)
    net = genesis.net
    del genesis
    forget("fwnode.chain")
    return net, root


def warm_up() -> None:
    """Load and let go what only a check's end or an update needs (see above)."""
    tidy(2048)
    import fwnode.headers
    import fwnode.swarm.download
    import fwnode.update.install  # noqa: F401

    forget(*RARE)


async def identity(config, keys, net: bytes) -> Identity:  # type: ignore[no-untyped-def]
    """Who this board is; its key is made here when it has none."""

    def generate():  # type: ignore[no-untyped-def]
        yield
        return crypto.generate_key()

    private = await drive(keys.private_key(generate))
    public = keys.get("pk")
    if public is None:
        public = await drive(steps.public_key(private))
        keys.put("pk", public)
    certificate = keys.get("cert")
    if certificate is None and not config.open:
        raise ConfigError("no certificate: this board is not provisioned")
    credential = ("cert", certificate) if certificate else ("pu", public)
    return Identity(private, public, credential, config.model, net, config.port)
