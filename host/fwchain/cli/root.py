"""`fwchain root`: the next trust root, from a draft to the network folder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from fwchain import keyfile, tls, trustroot
from fwchain.cli.options import load_network
from fwchain.network import ROOT_YEARS, Network
from fwchain.vendor.show import when
from fwnode import crypto
from fwnode.trust.root import ANY_MODEL, Root
from fwnode.wire.message import key_id

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Make, sign, show and publish the next trust root.")

NETWORK = typer.Option(None, "--network", "-n", help="Network folder (default: ./network, where it is there).")
BEFORE = typer.Option(None, "--from", help="The root before it, a file: in place of a network folder.")
JSON = typer.Option(False, "--json", help="Print JSON.")
KEY = "a file (PEM of the key, or its certificate) or 130 hexadecimal digits"
ID = "a key ID (40 hexadecimal digits), or a file with the key"
DAY_S = 86400


@app.command()
def new(
    out: Path | None = typer.Option(None, "--out", "-o", help="File to write (default: root-N)."),
    add_vendor: list[str] = typer.Option([], help=f"[MODEL=]KEY: a new vendor key; {KEY}."),
    retire_vendor: list[str] = typer.Option([], help=f"Vendor key that signs no more; {ID}."),
    add_node: list[str] = typer.Option([], help="Key of a new verification node; it may renew certificates, too."),
    retire_node: list[str] = typer.Option([], help="Verification node that answers no more; what it renewed holds."),
    add_root: list[str] = typer.Option([], help="A new root key."),
    retire_root: list[str] = typer.Option([], help="Root key that signs no further root."),
    add_enrolment: list[str] = typer.Option([], help="A new enrolment key."),
    retire_enrolment: list[str] = typer.Option([], help="Enrolment key: what it certified counts no more."),
    revoke: list[str] = typer.Option([], help="Key, or a board's certificate (.cert), that counts nowhere now."),
    unrevoke: list[str] = typer.Option([], help="Key ID to take off the list of revoked ones (it holds 128)."),
    root_threshold: int | None = typer.Option(None, help="How many root keys sign a root."),
    vendor_threshold: int | None = typer.Option(None, help="How many vendor keys sign a release."),
    node_threshold: int | None = typer.Option(None, help="How many verification nodes sign a checkpoint."),
    days: float = typer.Option(ROOT_YEARS * 365.0, help="Days until it expires."),
    before: Path | None = BEFORE,
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Draft root N+1 from the current one. Works without any connection; nothing is in force before `publish`."""
    current = _before(before, network)
    nodes = [trustroot.public_key(text) for text in add_node]
    retire = {"root": retire_root, "node": retire_node, "enrolment": retire_enrolment, "vendor": retire_vendor}
    thresholds = {"root": root_threshold, "vendor": vendor_threshold, "node": node_threshold}
    changes = trustroot.Changes(
        expires=int(time.time() + days * DAY_S),
        add={
            "root": [trustroot.public_key(text) for text in add_root],
            "node": nodes,
            "enrolment": [trustroot.public_key(text) for text in add_enrolment]
            + [public for public in nodes if public not in current.enrolment],
        },
        add_vendors=[_vendor(text) for text in add_vendor],
        retire={kind: [trustroot.identifier(text) for text in texts] for kind, texts in retire.items()},
        revoke=[trustroot.identifier(text) for text in revoke],
        pardon=[trustroot.identifier(text) for text in unrevoke],
        thresholds={kind: number for kind, number in thresholds.items() if number is not None},
    )
    made = trustroot.draft(current, changes)
    path = out or Path(f"root-{made.number}")
    trustroot.write(path, made.data)
    if as_json:
        typer.echo(json.dumps({"file": str(path), **trustroot.facts(made, current)}))
        return
    _print(made, current)
    typer.echo(f"next: fwchain root sign {path}, with {current.threshold} of the keys of root {current.number}")


@app.command()
def sign(
    path: Path = typer.Argument(..., help="The root, as `fwchain root new` wrote it."),
    key: list[Path] = typer.Option([], "--key", "-k", help="Root key file (default: those of the network folder)."),
    before: Path | None = BEFORE,
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Sign a root with root keys, old and new. Needs the file and a key alone; several people may, one by one."""
    net = None if before else load_network(network, needed=not key)
    current = trustroot.read(before) if before else (net.root if net else None)
    root = trustroot.sign(path, key or net.key_files("root"), current)  # type: ignore[union-attr]
    state = trustroot.signatures(root, current)
    if as_json:
        typer.echo(json.dumps({"file": str(path), **trustroot.facts(root, current)}))
        return
    typer.echo(f"root {root.number}: {state} signed")
    if state.enough:
        typer.echo(f"next: fwchain root publish {path}")
    elif state.missing:
        typer.echo(f"not signed yet by {', '.join(state.missing)}")


@app.command("show")
def show_(
    path: Path | None = typer.Argument(None, help="A root's file (default: the one in force)."),
    before: Path | None = BEFORE,
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Print a root: its keys by ID, its thresholds, and whose signatures it has and lacks."""
    net = None if before else load_network(network, needed=path is None)
    root = trustroot.read(path) if path else net.root  # type: ignore[union-attr]
    earlier = trustroot.read(before) if before else _earlier(net, root.number)
    if as_json:
        typer.echo(json.dumps(trustroot.facts(root, earlier), indent=2))
    else:
        _print(root, earlier)


@app.command()
def publish(
    path: Path = typer.Argument(..., help="The signed root."),
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Put a signed root into the network folder. A verification node that runs takes it up by itself."""
    net = load_network(network)
    assert net is not None
    root = trustroot.install(net, path)
    if as_json:
        typer.echo(json.dumps({"folder": str(net.folder), "number": root.number}))
        return
    typer.echo(f"root {root.number} is in force in {net.folder}; boards take it at their next check")


@app.command("key")
def key_(
    path: Path = typer.Argument(..., help="File to make, such as vendor-2.pem."),
    certificate: Path | None = typer.Option(None, help="Make a certificate for the publishing channel as well."),
    address: str = typer.Option("127.0.0.1", help="Address that the certificate is for."),
    as_json: bool = JSON,
) -> None:
    """Make a key: its private half in FILE (mode 0600), its public half beside it in FILE.pub."""
    private = crypto.generate_key()
    keyfile.save(path, private)
    shared = path.with_name(path.name + ".pub")
    keyfile.save_public(shared, private)
    if certificate:
        certificate.write_bytes(tls.certificate(private, path.stem, address, int(time.time())))
    identity = key_id(crypto.public_key(private)).hex()
    if as_json:
        typer.echo(json.dumps({"private": str(path), "public": str(shared), "id": identity}))
        return
    typer.echo(f"key {identity}\n  private {path}: keep it to yourself\n  public  {shared}: what the others need")


def _vendor(text: str) -> tuple[str, bytes]:
    model, found, key = text.partition("=")
    if not found or Path(text).exists():
        model, key = ANY_MODEL, text
    return model, trustroot.public_key(key)


def _before(before: Path | None, network: Path | None) -> Root:
    if before:
        return trustroot.read(before)
    net = load_network(network)
    assert net is not None
    return net.root


def _earlier(net: Network | None, number: int) -> Root | None:
    return net.roots[number - 2] if net and 2 <= number <= len(net.roots) + 1 else None


def _print(root: Root, before: Root | None) -> None:
    row = trustroot.facts(root, before)
    old = trustroot.facts(before) if before else None
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("root", f"{root.number}, expires {when(root.expires)}")
    for name, label, need in (
        ("root_keys", "root key", root.threshold),
        ("nodes", "verification node", root.node_threshold),
        ("enrolment_keys", "enrolment key", None),
        ("revoked", "revoked", None),
    ):
        _rows(table, f"{label}" + (f" ({need} sign)" if need else ""), row[name], old[name] if old else None)
    for model in sorted({*row["vendor_keys"], *(old["vendor_keys"] if old else ())}):
        label = f"vendor key for {'every model' if model == ANY_MODEL else model} ({root.vendor_threshold} sign)"
        _rows(table, label, row["vendor_keys"].get(model, []), old["vendor_keys"].get(model, []) if old else None)
    state = trustroot.signatures(root, before)
    table.add_row("signatures", str(state))
    for identity in state.missing:
        table.add_row("not signed by", identity)
    Console().print(table)


def _rows(table: Table, label: str, ids: list[str], old: list[str] | None) -> None:
    for one in ids:
        table.add_row(label, one + (" (new)" if old is not None and one not in old else ""))
    for one in old or []:
        if one not in ids:
            table.add_row(label, f"{one} (goes)")
