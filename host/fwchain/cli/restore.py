"""`fwchain restore`: a network out of a backup."""

from __future__ import annotations

import json
from pathlib import Path

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def restore(
    path: Path = typer.Argument(..., help="File that `fwchain backup` wrote."),
    folder: Path = typer.Argument(..., help="Folder to make."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Put a network back: keys, documents, releases and store, every file checked first."""
    from fwchain import backup as backups

    network = backups.restore(path, folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "name": network.name, "genesis": network.genesis.hash.hex()}))
        return
    typer.echo(f"network {network.name} in {folder}, genesis {network.genesis.hash.hex()}")
    typer.echo(f"next: fwchain chain verify {folder}, then fwchain serve {folder}")
