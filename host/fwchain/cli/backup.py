"""`fwchain backup`: a network's keys and store into one file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from fwchain.cli.options import DEFAULT_FOLDER
from fwchain.network import load

app = typer.Typer(rich_markup_mode=None)


@app.command()
def backup(
    folder: Path = typer.Argument(DEFAULT_FOLDER, help="Network folder."),
    out: Path = typer.Option(None, "--out", "-o", help="File to write (default: NAME-DATE.tar.gz here)."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write a network's keys, documents, releases and store into one file. The node may run meanwhile."""
    from fwchain import backup as backups

    network = load(folder)
    path = out or Path(time.strftime(f"{network.name}-%Y%m%d-%H%M%S.tar.gz"))
    manifest = backups.backup(network, path)
    if as_json:
        typer.echo(json.dumps({"file": str(path), **manifest}))
        return
    typer.echo(f"{path}: {len(manifest['files'])} files, {path.stat().st_size:,} bytes")
    typer.echo("it holds private keys: keep it where nobody else can read it")
    typer.echo(f"next: fwchain restore {path} FOLDER")
