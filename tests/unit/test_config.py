"""fwchain.toml: each mistake gets one line that names the key and its limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwchain import config
from fwchain.config import Config, ConfigError


def test_defaults_written_and_read_again_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / config.FILE
    path.write_text(Config().text())
    assert config.load(path).values == Config().values


def test_values_survive_writing(tmp_path: Path) -> None:
    given = Config({"node": {"port": 1234, "database": 'sqlite:///a "b" \\c.db'}, "release": {"days": 0.5}})
    path = tmp_path / config.FILE
    path.write_text(given.text())
    assert config.load(path).values == given.values


def test_a_whole_number_serves_where_a_number_is_expected() -> None:
    assert Config({"release": {"days": 3}})["release"]["days"] == 3.0


def test_every_key_is_documented_in_the_file() -> None:
    text = Config().text()
    for section, keys in config.KEYS.items():
        assert f"[{section}]" in text
        for name, key in keys.items():
            assert f"\n{name} = " in text
            assert key.text in text


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"nodes": {}}, ["[nodes]", "node, lan"]),
        ({"node": 3}, ["node", "[node]"]),
        ({"node": {"ports": 1}}, ["node.ports", "port, publish_port"]),
        ({"node": {"port": 0}}, ["node.port", "0", "1 to 65535"]),
        ({"node": {"port": 65536}}, ["node.port", "1 to 65535"]),
        ({"node": {"port": "4567"}}, ["node.port", "whole number"]),
        ({"node": {"port": True}}, ["node.port", "whole number"]),
        ({"node": {"port": 4567.0}}, ["node.port", "whole number"]),
        ({"node": {"listen": ""}}, ["node.listen", "1 to 64 characters"]),
        ({"node": {"block_s": "often"}}, ["node.block_s", "a number"]),
        ({"lan": {"group": "192.168.1.1"}}, ["lan.group", "224.0.0.0 to 239.255.255.255"]),
        ({"lan": {"group": "239.1.1.x"}}, ["lan.group", "multicast"]),
        ({"board": {"model": "x" * 33}}, ["board.model", "1 to 32 characters"]),
        ({"release": {"epoch": -1}}, ["release.epoch", "0 to"]),
    ],
)
def test_mistakes_name_key_and_limit(values: dict, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(values)
    for part in parts:
        assert part in str(caught.value)


def test_broken_toml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / config.FILE
    path.write_text("[node]\nport = \n")
    with pytest.raises(ConfigError, match=r"fwchain\.toml: no valid TOML: .*line 2"):
        config.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / config.FILE)
