"""What several commands share: a way to the network folder, a console, progress bars."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from fwchain import network
from fwchain.network import Network

DEFAULT_FOLDER = Path("network")


def load_network(folder: Path | None, needed: bool = True) -> Network | None:
    """The network in `folder`; without one, the one in ./network. Raises SetupError when it is needed and missing."""
    if folder is None and not needed and not (DEFAULT_FOLDER / "genesis").exists():
        return None
    return network.load(folder or DEFAULT_FOLDER)


def progress(console: Console | None = None) -> Progress:
    """A progress bar for bytes; it vanishes where standard error is no terminal."""
    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
