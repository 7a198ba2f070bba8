"""From an offered release to the log of what became of it: download, installation, reset, trial, rollback. Loaded when
there is one.
"""

import asyncio

from fwnode.compat import drive, forget, random_int, tidy
from fwnode.errors import FwError
from fwnode.swarm.router import PEERING
from fwnode.update import RARE, ImageError, Refused, SlotError
from fwnode.update.recalls import recalled
from fwnode.wire.bencode import decode_dict, encode

TRIAL_TRIES = 5  # checks that a new release gets to reach somebody
EXCHANGE = "exchange"  # the file with what the log after an update must name
DOWNLOADING = (
    "fwnode.downloading",
    "fwnode.swarm.download",
    "fwnode.swarm.pieces",
    "fwnode.swarm.dial",
    "fwnode.swarm.endgame",
    "fwnode.swarm.patience",
    "fwnode.swarm.webseed",
    "fwnode.swarm.why",
) + RARE


async def update(node, found) -> None:  # type: ignore[no-untyped-def]
    """Install what `found` offers; ends in a reset when that worked."""
    release = found.release
    if found.repair:
        node.hooks.state("tampered", version=release.version, verifier=found.row["h"].hex())
    node.hooks.state("offered", version=release.version, repair=found.repair, peers=len(found.peers), case=found.case)
    row = dict(found.row)
    row["o"] = b"repaired" if found.repair else b"updated"
    row["v"] = release.version.encode()
    row["h"] = release.verifier
    try:
        await _install(node, release, found.peers, row)
    except Refused as error:
        node.hooks.state("refused", version=release.version, reason=error.reason, why=str(error))
    except FwError as error:
        node.hooks.state("failed", version=release.version, why=str(error))
        if not found.repair:  # an exchange has one log, and this one's says "tampered" already
            row["o"] = b"failed"
            await node.tell(row)
    finally:
        forget(*DOWNLOADING, *PEERING)
        await node.sharing.again()


async def _install(node, release, peers: list, row: dict) -> None:  # type: ignore[no-untyped-def]
    tidy(2048)
    installer = node.installer
    if installer is None:
        from fwnode.update.install import Install as installer

    config = node.config
    install = installer(node.boot, release, config.model, config.platform, node.clock.now(), node.clock.uptime_s())
    if not node.hooks.may_update(release):
        node.hooks.state("held", version=release.version)
        return
    try:
        if row["o"] == b"repaired":
            await drive(install.salvage())
        await node.sharing.download(release, install.storage, peers)
        await drive(install.finish())
    except (ImageError, SlotError):
        install.reject()
        raise
    node.boot.files.write(EXCHANGE, encode(row))
    node.hooks.state("installed", version=release.version, slot=install.place)
    node.reset()


# the first boot of a release


async def prove(node) -> None:  # type: ignore[no-untyped-def]
    """Self-test, then somebody must answer; else reset, and the boot loader goes back."""
    version = node.boot.version
    if not node.boot.genuine:
        give_up(node, "image")
        return
    passed = node.hooks.self_test()
    node.hooks.state("self-test", version=version, passed=passed)
    if not passed:
        give_up(node, "check")
        return
    for _ in range(TRIAL_TRIES):
        found = await _reach(node)
        if recalled(node.boot.keys, node.boot.verifier):
            give_up(node, "recalled")
            return
        if found is not None and (found.answered or found.reached):
            node.boot.confirm()
            node.hooks.state("confirmed", version=version, slot=node.boot.place)
            return
        await asyncio.sleep(1)
    give_up(node, "network")


async def _reach(node):  # type: ignore[no-untyped-def]
    """What an exchange found, None for an error: a flood that takes the heap must not make a good release crash."""
    node.broadcasts.give_way()
    try:
        return await node.ask()
    except (FwError, MemoryError) as error:
        node.hooks.state("error", what="trial", why=str(error))
        return None
    finally:
        node.broadcasts.resume()


def give_up(node, reason: str) -> None:  # type: ignore[no-untyped-def]
    """The release on trial failed, for `reason`: reset, and the boot loader goes back to the old one."""
    try:
        node.boot.fail(reason)
    except MemoryError:  # a flood may have taken the heap: once more without what an exchange held
        forget(*RARE)
        node.boot.fail(reason)
    node.hooks.state("giving-up", version=node.boot.version, reason=reason)
    node.reset()


def say_outcome(node) -> None:  # type: ignore[no-untyped-def]
    """Tell what became of the last release: it runs and is confirmed, or it was rolled back."""
    kind, version, reason = node.boot.outcome
    row = installed(node)
    repaired = kind == "updated" and row is not None and row["o"] == b"repaired"
    node.hooks.state("repaired" if repaired else kind.replace("_", "-"), version=version, why=reason)


def installed(node):  # type: ignore[no-untyped-def]
    """The row that the last installation left for its log, None when there is none for this outcome."""
    raw = node.boot.files.read(EXCHANGE)
    row = decode_dict(raw, EXCHANGE, 512) if raw else None
    return row if row is not None and row["v"].decode() == node.boot.outcome[1] else None


async def log_outcome(node) -> None:  # type: ignore[no-untyped-def]
    """Log it, once somebody has answered and told the time."""
    row = installed(node)
    if row is not None:
        await node.tell(_final(row, node.boot.outcome[0]))
    node.boot.told()
    node.boot.files.remove(EXCHANGE)
    forget(*RARE)


def _final(row: dict, kind: str) -> dict:
    """The log's row after the reset. An exchange has one log: a repair's said "tampered" already, and the one that
    proved the repair says "current", so what became of the repair is logged under a new request ID.
    """
    if row["o"] == b"repaired":
        row["r"] = random_int(63)
    if kind != "updated":
        row["o"] = b"rolled-back"
    return row
