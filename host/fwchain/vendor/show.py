"""Printing M: for a person, and as JSON for a machine."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from fwchain.network import Network
from fwnode.trust.release import Release
from fwnode.wire.message import key_id


def magnet(release: Release) -> str:
    """The magnet link: info-hash, name, trackers, web seeds."""
    parts = [f"xt=urn:btih:{release.info_hash.hex()}", f"dn={quote(release.name)}"]
    parts += [f"tr={quote(url, safe='')}" for url in release.trackers]
    parts += [f"ws={quote(url, safe='')}" for url in release.web_seeds]
    return "magnet:?" + "&".join(parts)


def facts(release: Release, network: Network | None = None) -> dict[str, Any]:
    """Everything that M says; with a network, who signed it."""
    known = {}
    if network:
        known = {
            key_id(public): f"vendor key {number}"
            for number, public in enumerate(network.root.vendor_keys(release.model), 1)
        }
    rollout = None
    if release.rollout is not None:
        start, steps = release.rollout
        rollout = {"start": start, "steps": [{"permille": share, "after_s": after} for share, after in steps]}
    return {
        "model": release.model,
        "platform": release.platform,
        "version": release.version,
        "files": [{"name": name, "target": target, "length": size} for name, target, size in release.files],
        "size": release.size,
        "verifier": release.verifier.hex(),
        "info_hash": release.info_hash.hex(),
        "piece_length": release.piece_length,
        "pieces": release.piece_count,
        "trackers": release.trackers,
        "web_seeds": release.web_seeds,
        "epoch": release.epoch,
        "issued": release.issued,
        "expires": release.expires,
        "rollout": rollout,
        "private": release.private,
        "signatures": [{"key": signer.hex(), "known_as": known.get(signer)} for signer, _ in release.signatures],
        "metadata_bytes": len(release.metainfo),
        "magnet": magnet(release),
    }


def when(seconds: int) -> str:
    """A time as people read it, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def show(release: Release, console: Console, network: Network | None = None, standing: str | None = None) -> None:
    """Print M for a person; `standing` is how it fares in the network."""
    row = facts(release, network)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("release", f"{row['model']} {row['version']} for {row['platform']}")
    for item in row["files"]:
        table.add_row("file", f"{item['name']} → {item['target']}, {item['length']:,} bytes")
    table.add_row("verifier", row["verifier"])
    table.add_row("info-hash", row["info_hash"])
    table.add_row("pieces", f"{row['pieces']} of {row['piece_length']:,} bytes; M has {row['metadata_bytes']:,} bytes")
    table.add_row("epoch", str(row["epoch"]))
    table.add_row("issued", when(row["issued"]))
    table.add_row("expires", when(row["expires"]))
    table.add_row("rollout", _rollout(row["rollout"]))
    if standing:
        table.add_row("stands", standing)
    for url in row["trackers"]:
        table.add_row("tracker", url)
    for url in row["web_seeds"]:
        table.add_row("web seed", url)
    for item in row["signatures"]:
        known = item["known_as"] or ("not a vendor key of this network" if network else "not checked: no network given")
        table.add_row("signed by", f"{item['key']} ({known})")
    if not row["signatures"]:
        table.add_row("signed by", "nobody yet: `fwchain release sign`")
    console.print(table)
    console.print(row["magnet"], soft_wrap=True, highlight=False)


def _rollout(rollout: dict[str, Any] | None) -> str:
    if rollout is None:
        return "every board at once"
    steps = ", ".join(f"{step['permille'] / 10:g} % after {step['after_s']} s" for step in rollout["steps"])
    return f"{steps}, from {when(rollout['start'])}"
