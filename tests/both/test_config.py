"""A board's configuration: defaults, limits, and an error that names the field."""

from fwnode.config import Config
from fwnode.settings import ConfigError
from support import raises

GOOD = {"model": "thermometer", "platform": "virtual", "nodes": ["http://127.0.0.1:4567"]}


def with_(**changes):
    values = dict(GOOD)
    values.update(changes)
    return values


def test_defaults_are_filled_in():
    config = Config(GOOD)
    assert config.port == 4567 and config.check_s == 3600 and config.wifi == []


def test_seconds_may_have_a_fraction():
    assert Config(with_(check_s=0.5)).check_s == 0.5


def test_each_bad_field_is_named_with_its_limit():
    for changes, text in (
        ({"port": 80}, "port: 80 is outside 1024 to 65535"),
        ({"port": "4567"}, "port: int expected"),
        ({"model": ""}, "model: 0 is outside 1 to 32"),
        ({"nodes": ["ftp://x"]}, "nodes: 'ftp://x' does not start with http://"),
        ({"colour": 1}, "unknown field colour"),
        ({"open": 1}, "open: bool expected"),
    ):
        assert text in str(raises(ConfigError, Config, with_(**changes))), text
    assert "field model is missing" in str(raises(ConfigError, Config, {"platform": "virtual"}))
