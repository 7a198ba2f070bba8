"""`fwchain chain`: prints the chain, verifies it, and proves that a verification is in it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fwchain import files, network
from fwchain.chainstore import audit
from fwchain.chainstore.miner import CHECKPOINT_DEPTH
from fwchain.chainstore.show import block_row, log_row
from fwchain.chainstore.source import FolderSource, Source, blocks, open_source
from fwchain.cli.options import DEFAULT_FOLDER
from fwchain.errors import HostError, NotTrusted, SetupError
from fwnode.chain import ChainError, header
from fwnode.chain import checkpoint as checkpoints
from fwnode.chain import proof as proofs
from fwnode.chain.block import Block
from fwnode.chain.genesis import Genesis
from fwnode.chain.log import Log
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.trust.root import Root

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Print and verify the chain.")

PLACE = typer.Argument(str(DEFAULT_FOLDER), help="Network folder, or a node's URL (http://host:port).")
GENESIS = typer.Option(
    None, "--genesis", help="The network's genesis: its file, or (for a URL) its hash of 64 hexadecimal digits."
)
WIDE = 120  # columns that the whole table takes
AS_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def show(
    place: str = PLACE,
    first: int = typer.Option(1, "--from", min=1, help="Height to begin at."),
    last: int = typer.Option(0, "--to", min=0, help="Height to end at; 0: the tip."),
    model: str = typer.Option("", help="Only verification logs of this model."),
    outcome: str = typer.Option("", help="Only verification logs with this outcome (current, updated, tampered …)."),
    genesis: str | None = GENESIS,
    as_json: bool = AS_JSON,
) -> None:
    """Print the verification logs and releases of the chain, oldest first."""
    source = _open(place, genesis)
    authorities = _authorities(source)
    rows = []
    height = first - 1
    hashes = source.hashes()
    for data in blocks(source, hashes[first - 1 : last or len(hashes)]):
        height += 1
        block = Block(data, source.genesis.net)
        row = block_row(height, block, len(data), authorities(block))
        row["logs"] = [log for log in row["logs"] if model in ("", log["model"]) and outcome in ("", log["outcome"])]
        rows.append(row)
    if as_json:
        typer.echo(json.dumps({"genesis": source.genesis.hash.hex(), "blocks": rows}, indent=1))
        return
    _print_table(source, rows)


@app.command()
def verify(
    place: str = PLACE,
    proof: Path | None = typer.Option(None, "--proof", help="Check this proof file instead; it needs genesis alone."),
    genesis: str | None = GENESIS,
    as_json: bool = AS_JSON,
) -> None:
    """Check every block from genesis: links, work, times, counters, merkle roots, signatures, duplicates."""
    if proof is not None:
        _verify_proof(proof, _genesis(place, genesis), as_json)
        return
    source = _open(place, genesis)
    began = time.monotonic()
    hashes = source.hashes()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("verifying", total=len(hashes))
        try:
            found = audit.verify_blocks(
                source.genesis,
                source.roots,
                blocks(source, hashes),
                int(time.time()),
                lambda done: bar.update(task, completed=done),
            )
            audit.check_tip(found, hashes)
        except HostError:
            raise
        except FwError as error:
            raise NotTrusted(f"the chain is not good: {error}") from error
    seconds = time.monotonic() - began
    if as_json:
        row = dict(vars(found), tip=found.tip.hex(), genesis=source.genesis.hash.hex(), seconds=round(seconds, 3))
        typer.echo(json.dumps(row, indent=1))
        return
    typer.echo(f"good: {found.height} blocks from genesis {source.genesis.hash.hex()}")
    typer.echo(f"  tip       {found.tip.hex()}")
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(found.outcomes.items())) or "none"
    typer.echo(f"  logs      {found.logs} ({kinds})")
    typer.echo(f"  releases  {found.releases}")
    typer.echo(f"  counter   {found.counter}, work {found.work} hashes, {found.size} bytes, {seconds:.1f} s")


@app.command()
def proof(
    log: str = typer.Argument(..., help="The log's or release's id, or the first digits of it, as `show` prints it."),
    place: str = PLACE,
    output: Path | None = typer.Option(None, "--output", "-o", help="File to write; default: ID.proof"),
    genesis: str | None = GENESIS,
    as_json: bool = AS_JSON,
) -> None:
    """Write a file that proves, to somebody who has genesis alone, that a log or release is in the chain."""
    source = _open(place, genesis)
    digest = _find(source, log.lower())
    data = source.proof_file(digest)
    if data is None:
        raise SetupError(f"{log} is not in the best branch of the chain")
    path = output or Path(f"{digest.hex()[:16]}.proof")
    files.replace(path, data)
    if as_json:
        typer.echo(json.dumps({"id": digest.hex(), "file": str(path), "bytes": len(data)}))
        return
    typer.echo(f"{path}: {len(data)} bytes")
    typer.echo(f"check it with: fwchain chain verify --proof {path} --genesis GENESIS-FILE")


@app.command()
def checkpoint(
    folder: Path = typer.Argument(DEFAULT_FOLDER, help="Network folder of a verification node."),
    file: Path = typer.Argument(Path("checkpoint"), help="The checkpoint: made when not there, else signed once more."),
    height: int = typer.Option(0, "--height", min=0, help="Height of a new one; 0: six below the tip."),
    as_json: bool = AS_JSON,
) -> None:
    """Sign a checkpoint, below which no branch is given up for another, with this verification node's key.

    Where the trust root asks for several verification nodes, carry the file from one to the next. It comes into force
    here as soon as it has enough signatures. A network of one verification node makes its checkpoints by itself.
    """
    source = FolderSource(folder)
    store = source.store
    if file.exists():
        data = file.read_bytes()
    else:
        height = height or store.tip().height - CHECKPOINT_DEPTH
        if height < 1 or height > store.tip().height:
            raise SetupError(f"there is no block at height {height}; the tip is at {store.tip().height}")
        data = checkpoints.build(store.net, store.link(header.hash_of(store.headers(height, 1))))
    try:
        data = run(checkpoints.sign(data, store.net, network.load(folder).private("node")))
        found = checkpoints.Checkpoint(data, store.net)
        enough = _signed(found, store.root)
        if enough:
            store.set_checkpoint(data)
    except HostError:
        raise
    except FwError as error:
        raise NotTrusted(f"{file}: {error}") from error
    files.replace(file, data)
    row = {"height": found.height, "hash": found.hash.hex(), "signatures": len(found.signatures), "in_force": enough}
    if as_json:
        typer.echo(json.dumps(row))
        return
    state = "in force here" if enough else f"{store.root.node_threshold} are needed"
    typer.echo(f"{file}: block {found.height}, {len(found.signatures)} signatures, {state}")


def _signed(found: checkpoints.Checkpoint, root: Root) -> bool:
    """Whether enough verification nodes signed."""
    try:
        run(found.check(root))
    except ChainError:
        return False
    return True


def _open(place: str, genesis: str | None) -> Source:
    pinned = None
    if genesis is not None:
        pinned = _pinned(genesis)
    try:
        source = open_source(place, pinned)
    except HostError:
        raise
    except FwError as error:
        raise NotTrusted(f"{place}: {error}") from error
    if pinned is not None and source.genesis.hash != pinned:
        raise NotTrusted(f"{place} is another network: its genesis is {source.genesis.hash.hex()}")
    return source


def _pinned(genesis: str) -> bytes:
    path = Path(genesis)
    if path.is_file():
        return bytes(Genesis(path.read_bytes()).hash)
    try:
        digest = bytes.fromhex(genesis)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise SetupError(f"{genesis} is neither a genesis file nor a hash of 64 hexadecimal digits")
    return digest


def _genesis(place: str, genesis: str | None) -> Genesis:
    path = Path(genesis) if genesis is not None else Path(place) / "genesis"
    if not path.is_file():
        raise SetupError(f"{path}: no genesis file; give the network's with --genesis FILE")
    return Genesis(path.read_bytes())


def _authorities(source: Source) -> Callable[[Block], bool]:
    """Whether a block is a verification node's, by the trust root that it names."""
    nodes = [set(Root(data).nodes) for data in source.roots]
    return lambda block: block.body.get("pu") in (nodes[block.root - 1] if block.root <= len(nodes) else ())


def _find(source: Source, prefix: str) -> bytes:
    """The SHA-256 of the one record whose id begins with `prefix`."""
    if len(prefix) < 4 or len(prefix) > 64 or set(prefix) - set("0123456789abcdef"):
        raise SetupError(f"{prefix!r} is no id: at least four hexadecimal digits of one that `chain show` prints")
    found = set()
    for data in blocks(source, source.hashes()):
        block = Block(data, source.genesis.net)
        records = [log.data for log in block.logs] + ([block.release.data] if block.release else [])
        found |= {digest for digest in map(_sha256, records) if digest.hex().startswith(prefix)}
    if not found:
        raise SetupError(f"no verification log or release with the id {prefix}; `fwchain chain show` lists them")
    if len(found) > 1:
        raise SetupError(f"{prefix} is the beginning of {len(found)} ids: give more digits")
    return found.pop()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _verify_proof(path: Path, genesis: Genesis, as_json: bool) -> None:
    try:
        record, height, above, covered = run(proofs.check(path.read_bytes(), genesis))
    except FwError as error:
        raise NotTrusted(f"{path}: the proof is not good: {error}") from error
    if isinstance(record, Log):
        row = log_row(record)
        what = f"{row['outcome']}, {row['model']} {row['version']}, {_when(row['time'])}"
    else:
        row = {"id": _sha256(record.data).hex(), "model": record.model, "version": record.version}
        what = f"release {record.version} of {record.model}"
    if as_json:
        typer.echo(
            json.dumps(
                {"height": height, "above": above, "checkpoint": covered and covered.height, "record": row}, indent=1
            )
        )
        return
    typer.echo(f"good: {what}")
    typer.echo(f"  id      {row['id']}")
    typer.echo(f"  block   height {height}, {above} blocks above it in this proof")
    if covered is not None:
        nodes = len(covered.signatures)
        typer.echo(f"  final   under the checkpoint at height {covered.height}, signed by {nodes} verification node(s)")
    typer.echo(f"  chain   genesis {genesis.hash.hex()}")


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _print_table(source: Source, rows: list[dict[str, Any]]) -> None:
    """One line a record; what a narrow terminal has no room for is left out, a file or pipe gets all of it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    people = console.width >= WIDE
    title = f"chain of {source.genesis.name}, genesis {source.genesis.hash.hex()[:16]}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("block", "time (UTC)", "record", "model", "version"):
        table.add_column(name, no_wrap=True)
    if people:
        for name in ("request", "response", "signer"):
            table.add_column(name, no_wrap=True)
    table.add_column("id", no_wrap=True, min_width=12)
    count = 0
    for row in rows:
        found = row["release"]
        if found:
            who = ["", "", row["by"][:8]] if people else []
            cells = [str(row["height"]), _when(row["time"]), "release", found["model"], found["version"]]
            table.add_row(*cells, *who, found["id"][:12])
        for log in row["logs"]:
            count += 1
            who = [log["request"][:8], log["response"][:8], log["signer"][:8]] if people else []
            cells = [str(row["height"]), _when(log["time"]), log["outcome"], log["model"], log["version"]]
            table.add_row(*cells, *who, log["id"][:12])
    console.print(table)
    console.print(f"{len(rows)} blocks, {count} verification logs")
