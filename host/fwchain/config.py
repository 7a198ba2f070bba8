"""`fwchain.toml`: the one configuration file, its keys, their limits and their defaults.

The table below is all there is: reading, checking, writing and the documentation come from it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwchain.errors import SetupError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "fwchain.toml"


class ConfigError(SetupError):
    """A key of fwchain.toml that is unknown, or whose value is outside its limits."""


@dataclass(frozen=True)
class Key:
    """One key: its kind (str, int, float or bool), default, and limits: of the number, or of the text's length."""

    kind: type
    default: Any
    least: float
    most: float
    text: str

    @property
    def limits(self) -> str:
        """The limits in words."""
        if self.kind is bool:
            return "true or false"
        unit = " characters" if self.kind is str else ""
        return f"{self.least:g} to {self.most:.10g}{unit}"

    def check(self, name: str, given: Any) -> Any:
        """The value when it is of the kind and inside the limits; raises ConfigError."""
        value: Any = given
        if self.kind is float and type(given) is int:
            value = float(given)
        found: type = type(value)
        if found is not self.kind:  # exactly that: true is no whole number
            raise ConfigError(f"{FILE}: {name}: {_KINDS[self.kind]} expected, got {value!r}")
        size = len(value) if self.kind is str else value
        if not self.least <= size <= self.most:
            raise ConfigError(f"{FILE}: {name}: {value!r} is outside the limits {self.limits}")
        return value


_KINDS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}

KEYS: dict[str, dict[str, Key]] = {
    "node": {
        "listen": Key(str, "127.0.0.1", 1, 64, "address that the verification node listens on (0.0.0.0: every one)"),
        "address": Key(str, "", 0, 64, "address or name at which boards reach it; empty: the one above"),
        "port": Key(int, 4567, 1, 65535, "its port: messages, tracker (TCP and UDP), web seed, chain, dashboard"),
        "publish_port": Key(int, 4568, 1, 65535, "where vendors publish, over mutual TLS"),
        "seed_port": Key(int, 4569, 1, 65535, "where its BitTorrent seed listens"),
        "seed_upload": Key(int, 0, 0, 1 << 31, "upload limit of the seed in bytes a second; 0: none"),
        "seed_dht": Key(int, 0, 0, 1, "1: the seed takes part in the DHT; a private release never does"),
        "seed_discovery": Key(int, 0, 0, 1, "1: the seed announces itself on the local network (BEP 14); as above"),
        "database": Key(str, "sqlite:///node.db", 1, 400, "SQLAlchemy URL; a SQLite path is relative to this folder"),
        "block_s": Key(float, 2.0, 0.05, 3600, "seconds from the first verification log in the pool to a block"),
        "pool_s": Key(float, 60.0, 0.05, 86400, "seconds that a log waits for the block that others owe it"),
        "peers": Key(str, "", 0, 2000, "URLs of other full nodes to keep the chain level with, separated by commas"),
        "sync_s": Key(float, 30.0, 0.2, 3600, "seconds between two syncs with each of them"),
    },
    "lan": {
        "group": Key(str, "239.255.70.67", 7, 15, "multicast group of the broadcasts on the local network"),
        "port": Key(int, 4570, 1024, 65535, "its UDP port"),
        "join": Key(bool, True, 0, 1, "whether this node listens and speaks there"),
    },
    "normal": {
        "nodes": Key(str, "", 0, 2000, "URLs of the verification nodes, separated by commas"),
        "platform": Key(str, "virtual", 1, 16, "platform of the releases that it holds"),
        "upload_kbps": Key(int, 10000, 1, 100000, "upload limit of its seed in KiB a second"),
        "retry_s": Key(float, 60.0, 0.1, 86400, "seconds until it asks again after nobody answered"),
        "confirm_s": Key(float, 30.0, 1, 600, "seconds that a call for confirmations waits for them"),
    },
    "board": {
        "model": Key(str, "thermometer", 1, 32, "model that new boards and releases have when none is given"),
        "port": Key(int, 4571, 1024, 65535, "TCP port that a board listens on"),
        "check_s": Key(int, 3600, 1, 604800, "seconds between two checks of a board's firmware"),
        "discovery_port": Key(int, 0, 0, 65535, "port of a board's local discovery; BEP 14 has 6771; 0: none"),
        "wide_erase": Key(int, 0, 0, 1, "1: boards with the memory for it erase their slot by 64 KiB"),
    },
    "certificate": {
        "days": Key(float, 1825.0, 0.001, 36500, "days that a board's certificate lives; renewed in its last third"),
        "grace_days": Key(float, 90.0, 0.0, 3650, "days after its end in which its board may still ask for a new one"),
    },
    "release": {
        "epoch": Key(int, 0, 0, (1 << 31) - 1, "security epoch of new releases; boards go to no lower one"),
        "days": Key(float, 365.0, 0.001, 36500, "days until a new release expires"),
    },
}

# texts that go into messages, releases and URLs
PLAIN = (("node", "listen"), ("node", "address"), ("normal", "platform"), ("board", "model"))

SECTIONS = {
    "node": "The verification node; of a normal node's folder (`fwchain node`): that node.",
    "lan": "Broadcasts on the local network.",
    "normal": "A normal node on this machine (`fwchain node`).",
    "board": "What provisioning gives a board.",
    "certificate": "Certificates of boards.",
    "release": "What `fwchain release build` puts into a release.",
}


class Config:
    """The checked configuration: `config["node"]["port"]`, defaults filled in."""

    def __init__(self, values: dict[str, dict[str, Any]] | None = None) -> None:
        """Check `values` (as TOML gives them); raises ConfigError naming the key and its limit."""
        given = values or {}
        for section in given:
            if section not in KEYS:
                raise ConfigError(f"{FILE}: [{section}] is no section; there are {_names(KEYS)}")
            if not isinstance(given[section], dict):
                raise ConfigError(f"{FILE}: {section} is a section: write [{section}]")
            for name in given[section]:
                if name not in KEYS[section]:
                    raise ConfigError(f"{FILE}: {section}.{name} is no key; [{section}] has {_names(KEYS[section])}")
        self.values: dict[str, dict[str, Any]] = {
            section: {
                name: key.check(f"{section}.{name}", given.get(section, {}).get(name, key.default))
                for name, key in keys.items()
            }
            for section, keys in KEYS.items()
        }
        for section, name in PLAIN:
            self._check_plain(section, name)
        node = self["node"]
        if node["listen"] in ("0.0.0.0", "::") and not node["address"]:
            raise ConfigError(f"{FILE}: node.address: say under which address boards reach a node that listens on all")
        _check_group(self["lan"]["group"])
        for name in ("node.peers", "normal.nodes"):
            self._check_urls(name)

    def _check_plain(self, section: str, name: str) -> None:
        value = self[section][name]
        if not all("!" <= character <= "~" for character in value):
            raise ConfigError(f"{FILE}: {section}.{name}: {value!r} is not printable ASCII without spaces")

    def __getitem__(self, section: str) -> dict[str, Any]:
        return self.values[section]

    def urls(self, name: str) -> list[str]:
        """The URLs of a key such as `node.peers`, without a slash at the end."""
        section, _, key = name.partition(".")
        return [part.strip().rstrip("/") for part in str(self[section][key]).split(",") if part.strip()]

    def _check_urls(self, name: str) -> None:
        for url in self.urls(name):
            rest = url.removeprefix("http://")
            if rest == url or not rest or "/" in rest or any(c.isspace() for c in rest):
                raise ConfigError(f"{FILE}: {name}: {url!r} is no URL like http://host:port")

    @property
    def address(self) -> str:
        """Where boards reach the verification node."""
        node = self["node"]
        return str(node["address"] or node["listen"])

    @property
    def url(self) -> str:
        """The verification node's HTTP face, as boards know it; no slash at the end."""
        return f"http://{self.host}:{self['node']['port']}"

    @property
    def host(self) -> str:
        """The address as a URL has it."""
        return f"[{self.address}]" if ":" in self.address else self.address

    def text(self, without: Collection[str] = ()) -> str:
        """The file: each key with its value, meaning and limits, but for those of `without` ("node.port")."""
        lines = ["# fwchain's configuration. A key that is left out has its default."]
        for section, keys in KEYS.items():
            lines += ["", f"# {SECTIONS[section]}", f"[{section}]"]
            for name, key in keys.items():
                if f"{section}.{name}" in without:
                    continue
                lines.append(f"# {key.text} ({key.limits}; default {_toml(key.default)})")
                lines.append(f"{name} = {_toml(self[section][name])}")
        return "\n".join(lines) + "\n"


def load(path: Path) -> Config:
    """Read and check a file; raises ConfigError."""
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no valid TOML: {error}") from None
    return Config(values)


def _names(keys: dict[str, Any]) -> str:
    return ", ".join(keys)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)


def _check_group(group: str) -> None:
    parts = group.split(".")
    if len(parts) != 4 or not all(p.isdigit() and int(p) < 256 for p in parts) or not 224 <= int(parts[0]) < 240:
        raise ConfigError(f"{FILE}: lan.group: {group!r} is no multicast address, 224.0.0.0 to 239.255.255.255")
