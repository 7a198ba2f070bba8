"""`fwchain node`: a normal node on this machine, in the foreground; and the making of its folder."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import typer

from fwchain.cli.init import settings_of
from fwchain.errors import SetupError
from fwchain.events import Log

app = typer.Typer(rich_markup_mode=None)


@app.command()
def node(
    folder: Path = typer.Argument(..., help="The node's folder."),
    network: Path = typer.Option(
        None, "--network", "-n", help="Make the folder, for this network: its folder with the enrolment key."
    ),
    model: str = typer.Option("", "--model", help="With --network: its model; default: the network's."),
    address: str = typer.Option(
        "", help="With --network: IPv4 address at which others reach it; default: a loopback address of its own."
    ),
    port: int = typer.Option(4580, help="With --network: its one port."),
    release: Path = typer.Option(
        None, "--release", help="With --network: M of the release that it holds; its files lie beside it."
    ),
    settings: list[str] = typer.Option([], "--set", help="With --network: SECTION.KEY=VALUE of its fwchain.toml."),
    as_json: bool = typer.Option(False, "--json", help="With --network: print the result as JSON."),
) -> None:
    """Run a normal node: it checks, confirms, answers, seeds, and keeps the whole chain. Ctrl-C ends it.

    With --network it makes the node's folder and ends: a key, its certificate, genesis, trust roots, configuration.
    """
    from fwchain.normal import folder as folders

    if network is not None:
        plan = folders.Plan(model, address, port, release, settings_of(settings))
        _make(folder, network, plan, as_json)
        return
    if model or release or settings:
        raise SetupError("--model, --release and --set belong to the making of a node: give --network, too")
    asyncio.run(_run(folders.load(folder)))


def _make(path: Path, network: Path, plan: Any, as_json: bool) -> None:
    from fwchain import network as networks
    from fwchain.normal import folder as folders

    made = folders.create(path, networks.load(network), plan)
    held = made.keys.record("run")
    version = held["v"].decode() if held else None
    public = made.keys.get("pk")
    if as_json:
        facts = {"folder": str(path), "model": made.node_config.model, "version": version, "public": public.hex()}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"normal node of network {made.network.name} in {path}")
    typer.echo(f"  model    {made.node_config.model}, holds {version or 'no release yet'}")
    typer.echo(f"  address  {made.config.url}")
    typer.echo(f"  asks     {', '.join(made.node_config.nodes)}")
    typer.echo(f"next: fwchain node {path}")


async def _run(folder: Any) -> None:
    from fwchain.normal.service import Normal

    log = Log(folder.network.events, process="normal")
    normal = Normal(folder, log)
    await normal.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    typer.echo(f"normal node of network {folder.network.name} at {folder.config.url}, holds {folder.held.version}")
    typer.echo(f"  events {folder.network.events}; Ctrl-C ends it")
    sys.stdout.flush()
    ended = asyncio.create_task(normal.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        ended.cancel()
        stopped.cancel()
        await normal.stop()
        log.emit("stopped")
