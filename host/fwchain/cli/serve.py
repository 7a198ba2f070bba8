"""`fwchain serve`: a verification node in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fwchain.cli.options import DEFAULT_FOLDER
from fwchain.events import Log
from fwchain.network import Network, load

if TYPE_CHECKING:
    from fwchain.verification.service import Service

app = typer.Typer(rich_markup_mode=None)


@app.command()
def serve(
    folder: Path = typer.Argument(DEFAULT_FOLDER, help="Network folder."),
    trace: str | None = typer.Option(
        None, "--trace", help="Write each message with its fields, sealed ones opened, to this file; - prints them."
    ),
) -> None:
    """Run a verification node: exchange, tracker, seed, chain, publishing port. Ctrl-C ends it."""
    network = load(folder)
    with _tracer(trace) as tracer:
        asyncio.run(_run(network, tracer))


async def _run(network: Network, tracer: Callable[[str], None] | None) -> None:
    from fwchain.verification.service import Service

    log = Log(network.events, process="node")
    service = Service(network, log, tracer)
    await service.start()
    try:
        _say(network, service)
        await _until_signal()
    finally:
        await service.stop()
        log.emit("stopped")


def _say(network: Network, service: Service) -> None:
    typer.echo(f"network {network.name}, verification node {service.exchange.id.hex()[:16]}")
    typer.echo(f"  boards ask      {network.config.url}/fwchain")
    typer.echo(f"  vendors publish {network.publish_url}/releases")
    typer.echo(f"  dashboard       {network.config.url}/")
    typer.echo(f"  events          {network.events}")
    typer.echo(f"{len(service.releases.all())} releases; Ctrl-C ends it")
    sys.stdout.flush()


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


@contextlib.contextmanager
def _tracer(place: str | None) -> Iterator[Callable[[str], None] | None]:
    """What writes a message to `place`: a file, - for standard output, None for nowhere."""
    if place is None:
        yield None
    elif place == "-":
        yield lambda text: print(text, flush=True)
    else:
        with Path(place).open("a", buffering=1) as file:
            yield lambda text: print(text, file=file)
