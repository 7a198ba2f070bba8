"""`fwchain init`: makes a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from fwchain import network
from fwchain.config import KEYS, Config, ConfigError
from fwchain.network import Plan
from fwnode.chain import genesis

app = typer.Typer(rich_markup_mode=None)


@app.command()
def init(
    folder: Path = typer.Argument(Path("network"), help="Folder to make."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Ask nothing: take the defaults and the options given."),
    name: str = typer.Option("home", help="Name of the network, 1 to 32 characters without spaces."),
    address: str = typer.Option("127.0.0.1", help="Address at which boards reach the verification node."),
    port: int = typer.Option(4567, help="Its port; publishing and seed take the next two."),
    model: str = typer.Option("thermometer", help="Model that boards and releases have when none is given."),
    check_s: int = typer.Option(3600, help="Seconds between two checks of a board's firmware."),
    difficulty: int = typer.Option(genesis.DIFFICULTY, help="Hashes that a block or a confirmation costs on average."),
    confirmations: int = typer.Option(genesis.CONFIRMATIONS, help="Confirmations that case C2-2 needs."),
    open_enrolment: bool = typer.Option(False, "--open", help="Let boards without certificate take part."),
    root_keys: int = typer.Option(1, help="Number of root keys."),
    root_threshold: int = typer.Option(1, help="How many of them sign a trust root."),
    vendor_keys: int = typer.Option(1, help="Number of vendor keys."),
    vendor_threshold: int = typer.Option(1, help="How many of them sign a release."),
    settings: list[str] = typer.Option([], "--set", help="SECTION.KEY=VALUE: any other key of fwchain.toml."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Make a network: keys, trust root, genesis, certificates, configuration. Every answer has a default."""
    if not yes and sys.stdin.isatty():
        name = typer.prompt("Name of the network", name)
        model = typer.prompt("Model of the boards", model)
        address = typer.prompt("Address at which boards reach the verification node", address)
        port = typer.prompt("Its port", port, type=int)
    plan = Plan(
        name=name,
        config=_config(address, port, model, check_s, settings),
        difficulty=difficulty,
        confirmations=confirmations,
        certified=not open_enrolment,
        root_keys=root_keys,
        root_threshold=root_threshold,
        vendor_keys=vendor_keys,
        vendor_threshold=vendor_threshold,
    )
    made = network.create(folder, plan)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "name": made.name, "genesis": made.genesis.hash.hex()}))
        return
    typer.echo(f"network {made.name} in {folder}")
    typer.echo(f"  genesis  {made.genesis.hash.hex()}")
    typer.echo(f"  node     {made.config.url}")
    typer.echo(f"  keys     {folder / 'keys'} (root, vendor, enrolment, node): keep a copy elsewhere")
    typer.echo(f"next: fwchain serve {folder}")


def _config(address: str, port: int, model: str, check_s: int, settings: list[str]) -> Config:
    """The configuration of these answers; a node that is not on the loopback listens on every address."""
    loopback = address.startswith("127.") or address == "localhost"
    node: dict[str, Any] = {"port": port, "publish_port": port + 1, "seed_port": port + 2}
    node.update({"listen": address} if loopback else {"listen": "0.0.0.0", "address": address})
    values: dict[str, dict[str, Any]] = {"node": node, "board": {"model": model, "check_s": check_s}}
    for section, changes in settings_of(settings).items():
        values.setdefault(section, {}).update(changes)
    return Config(values)


def settings_of(settings: list[str]) -> dict[str, dict[str, Any]]:
    """The values of `--set SECTION.KEY=VALUE`, by section; raises ConfigError."""
    values: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, found, value = setting.partition("=")
        section, dot, key = name.partition(".")
        if not found or not dot:
            raise ConfigError(f"--set {setting!r} is not SECTION.KEY=VALUE, such as lan.port=4570")
        values.setdefault(section, {})[key] = _value(section, key, value)
    return values


def _value(section: str, key: str, text: str) -> Any:
    """A value as its key's kind has it; text that is none stays text, for the configuration's own check."""
    kind = KEYS[section][key].kind if section in KEYS and key in KEYS[section] else str
    if kind is bool and text in ("true", "false"):
        return text == "true"
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text
