"""`fwchain release recall` and the rollout of `fwchain release build`, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vendor_world import NOW, image, make_network, write_release

from fwchain.cli import app
from fwchain.network import Network
from fwchain.vendor import recalling, signing
from fwnode.compat import run
from fwnode.trust.recall import Recall


def json_of(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    capsys.readouterr()
    assert app.run([*(str(word) for word in words), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return make_network(tmp_path / "net", vendor_keys=2, vendor_threshold=2)


def test_two_vendors_sign_a_recall_one_after_the_other(
    tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = write_release(tmp_path / "release")
    made = recalling.path_of(metadata)
    for number, key in enumerate(net.key_files("vendor"), 1):
        words = ("release", "recall", metadata, "--key", key, "-n", net.folder, "--offline")
        row = json_of(capsys, *words)
        assert row == {"recall": str(made), "signatures": number, "sent": None}
        statement = Recall(made.read_bytes())
        assert recalling.counts(statement, net) is (number == 2)
    assert run(statement.check(net.root)) is True
    assert statement.verifier == signing.read(metadata).verifier


def test_half_a_recall_goes_nowhere(tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no node to send it to: it is not tried."""
    metadata = write_release(tmp_path / "release")
    words = ("release", "recall", metadata, "--key", net.key_files("vendor")[0], "-n", net.folder)
    assert json_of(capsys, *words)["sent"] is None
    assert app.run(["release", "recall", str(metadata), "-n", str(net.folder)]) == 5  # with both keys it is


def test_a_recall_by_the_wrong_key_or_of_another_release_is_refused(
    tmp_path: Path, net: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = write_release(tmp_path / "release")
    root_key = str(net.key_files("root")[0])
    assert app.run(["release", "recall", str(metadata), "--key", root_key, "-n", str(net.folder)]) == 4
    assert "is the wrong key" in capsys.readouterr().err
    assert app.run(["release", "recall", str(metadata), "-n", str(net.folder), "--offline"]) == 0
    other = write_release(tmp_path / "release", "1.1.0")
    out = str(recalling.path_of(metadata))
    assert app.run(["release", "recall", str(other), "-n", str(net.folder), "--offline", "-o", out]) == 3
    assert "with another verifier" in capsys.readouterr().err


def test_a_rollout_begins_when_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "app.bin"
    file.write_bytes(image("1.2.0"))
    words = ("release", "build", "--image", file, "-v", "1.2.0", "--model", "thermometer", "--issued", NOW)
    rollout = ("--rollout", "50:0,1000:3600", "-o", tmp_path / "out")
    steps = [{"permille": 50, "after_s": 0}, {"permille": 1000, "after_s": 3600}]
    assert json_of(capsys, *words, *rollout)["rollout"] == {"start": NOW, "steps": steps}
    later = json_of(capsys, *words, *rollout, "--rollout-start", NOW + 500)
    assert later["rollout"] == {"start": NOW + 500, "steps": steps}
    assert app.run(["release", "show", later["metadata"]]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "5 % after 0 s, 100 % after 3600 s" in shown
