"""A board's configuration: one JSON file, written at provisioning. Loaded at its start alone."""

import json

from fwnode.settings import ConfigError, Settings

PATH = "/fwchain/config.json"

# name, kind, least, most (of a number; the length of the rest), default in JSON; "-": it must be given. One string: on
# a board, a table of tuples would take several times the room.
FIELDS = """
network str 1 64 "fwchain"
model str 1 32 -
platform str 1 16 -
nodes list 0 8 []
port int 1024 65535 4567
wifi list 0 8 []
group str 0 15 ""
group_port int 1024 65535 4568
check_s float 0.1 604800 3600
retry_s float 0.1 86400 60
quiet_s float 0.05 60 3
confirm_s float 1 600 30
upload_kbps int 1 100000 1000
discovery_port int 0 65535 0
wide_erase bool 0 1 false
open bool 0 1 false
events bool 0 1 true
"""
KINDS = {"str": str, "list": list, "int": int, "float": float, "bool": bool}


def fill(settings: Settings, values: dict) -> None:
    """Check `values` and take them; raises ConfigError."""
    rows = [line.split() for line in FIELDS.strip().split("\n")]
    for name in values:
        if name not in [row[0] for row in rows]:
            raise ConfigError("config: unknown field {}".format(name))
    for name, word, least, most, default in rows:
        value = values.get(name)
        if value is None:
            if default == "-":
                raise ConfigError("config: field {} is missing".format(name))
            value = json.loads(default)
        kind = KINDS[word]
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ConfigError("config: {}: {} expected".format(name, word))
        size = value if kind in (int, float, bool) else len(value)  # type: ignore[arg-type]
        if not float(least) <= float(size) <= float(most):  # type: ignore[arg-type]
            raise ConfigError("config: {}: {} is outside {} to {}".format(name, size, least, most))
        setattr(settings, name, value)
    for url in settings.nodes:
        if not isinstance(url, str) or not url.startswith("http://"):
            raise ConfigError("config: nodes: {!r} does not start with http://".format(url))


class Config(Settings):
    """Settings of `values`; raises ConfigError."""

    def __init__(self, values: dict) -> None:
        fill(self, values)


def load(path: str = PATH) -> Settings:
    """The configuration in the file; raises ConfigError."""
    try:
        with open(path) as file:
            values = json.load(file)
    except OSError:
        raise ConfigError("config: no {}: this board is not provisioned".format(path))
    except ValueError:
        raise ConfigError("config: {} is no JSON".format(path))
    if not isinstance(values, dict):
        raise ConfigError("config: {}: an object expected".format(path))
    settings = Settings()
    fill(settings, values)
    return settings
