"""`fwchain tracker`: the mini tracker alone, in the foreground."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import sys
from pathlib import Path

import typer

from fwchain.errors import SetupError
from fwchain.tracker import Tracker
from fwchain.tracker.allowlist import AllowList

app = typer.Typer(rich_markup_mode=None)
REFRESH_S = 2


@app.command()
def tracker(
    allow: Path = typer.Argument(help="File of info-hashes to serve, 40 hex digits a line; read anew as it changes."),
    listen: str = typer.Option("127.0.0.1", help="Address to listen on; 0.0.0.0 or :: is every one, IPv4 and IPv6."),
    port: int = typer.Option(6969, min=0, max=65535, help="Port for HTTP and UDP both; 0 takes a free one."),
    state: Path | None = typer.Option(None, help="File that carries the swarm over a restart."),
    interval: int = typer.Option(1800, min=10, max=7200, help="Seconds between two announces of one peer."),
    rate: int = typer.Option(20, min=1, help="Announces a second that one address may make."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Run the BitTorrent tracker alone: HTTP and UDP, scrape, IPv6. Ctrl-C ends it."""
    asyncio.run(_run(Tracker(state=state, interval=interval, rate=rate), AllowList(allow), listen, port, as_json))


async def _run(served: Tracker, allowed: AllowList, listen: str, port: int, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    allowed.refresh(served)
    try:
        await served.start(listen, port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise SetupError(
            f"port {port} on {listen} is taken: choose another with --port" if taken else f"{listen}:{port}: {error}"
        ) from error
    _say(as_json, "tracking", port=served.port, listen=listen, info_hashes=len(allowed.served))
    try:
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), REFRESH_S)
            except asyncio.TimeoutError:
                _refresh(served, allowed, as_json)
    finally:
        await served.stop()
        _say(as_json, "stopped", **{name.replace(" ", "-"): count for name, count in sorted(served.counts.items())})


def _refresh(served: Tracker, allowed: AllowList, as_json: bool) -> None:
    """A file that is broken for a moment leaves the list as it was."""
    try:
        if allowed.refresh(served):
            _say(as_json, "allow-list", info_hashes=len(allowed.served))
    except SetupError as error:
        _say(as_json, "error", why=str(error))


def _say(as_json: bool, event: str, **fields: object) -> None:
    if as_json:
        print(json.dumps({"event": event, **fields}))
    else:
        print(event + "  " + "  ".join(f"{name} {value}" for name, value in fields.items()))
    sys.stdout.flush()
