"""`fwchain serve --trace`: captured runs of C1-1 and C1-2, readable, sealed fields opened where a key is at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_world import Site, make_network, serving

from fwchain.verification import trace
from fwnode.compat import run
from fwnode.roles import END, UPDATE
from fwnode.roles.identity import Identity
from fwnode.wire import message
from fwnode.wire.bencode import encode

C1_1 = ["req_verchk", "res_verchk", "req_verification", "res_verification"]
C1_2 = ["req_verchk", "res_verchk", "req_download", "res_download"]
REPAIR = [*C1_1, "req_metadata", "res_metadata", "req_download", "res_download"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(make_network(tmp_path / "net")) as site:
        for version in ("1.0.0", "1.1.0"):
            assert site.publish(*site.release(version)).status == 200
        yield site


def exchange(site: Site, me: Identity, version: str, verifier: bytes) -> list[bytes]:
    """Every message of one exchange, as it went over the wire."""
    request = site.request(me, version, verifier)
    actions = run(request.begin())
    messages = []
    while actions[0][0] not in (END, UPDATE):
        messages.append(actions[0][-1])
        messages.append(site.post(messages[-1]).body)
        actions = run(request.receive(messages[-1], "v"))
    return messages


def clear(block: str) -> dict[str, str]:
    """The clear fields of a printed message."""
    found = re.findall(r"^    (.{12}) (.*)$", block, re.MULTILINE)
    return {name.strip(): value for name, value in found if not name.startswith("[")}


def sealed(block: str) -> dict[str, str]:
    """The opened fields, which stand in brackets as in the paper."""
    return {name.strip(): value for name, value in re.findall(r"^  \[ (.{12}) (.*) \]$", block, re.MULTILINE)}


def kinds(blocks: list[str]) -> list[str]:
    return [block.splitlines()[0].split()[2] for block in blocks]


def test_c1_1_with_both_keys_shows_every_field(site: Site) -> None:
    me = site.identity()
    newest = site.service.releases.by_version("thermometer", "1.1.0")
    assert newest is not None
    keys = [site.service.private, me.private]
    captured = exchange(site, me, "1.1.0", newest.verifier)
    shown = [trace.text(data, "n ->" if index % 2 == 0 else "n <-", keys) for index, data in enumerate(captured)]
    assert kinds(shown) == C1_1
    first = clear(shown[0])
    assert (first["model D"], first["version"], first["port"]) == ("thermometer", "1.1.0", "4000")
    assert first["certificate"].startswith("model thermometer, key ")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \(\d{10}\)", first["time"])
    assert list(first)[:3] == ["from", "network", "r + k"]  # the envelope, and a broadcast has no receiver
    r = int(first["r + k"])
    for k, block in enumerate(shown):
        assert clear(block)["r + k"] == str(message.next_r(r, k))
    assert sealed(shown[1])["version"] == "1.1.0" and "M" not in sealed(shown[1])
    assert sealed(shown[1])["ID"] == site.service.exchange.id.hex()
    for block in shown[2:]:
        assert sealed(block)["verifier"].startswith(newest.verifier[:12].hex())
        assert sealed(block)["r + k"] == clear(block)["r + k"]


def test_c1_2_with_both_keys_shows_m_and_l(site: Site) -> None:
    me = site.identity()
    keys = [site.service.private, me.private]
    shown = [trace.text(data, "n ->", keys) for data in exchange(site, me, "1.0.0", bytes(32))]
    assert kinds(shown) == C1_2
    newest = site.service.releases.by_version("thermometer", "1.1.0")
    assert newest is not None
    offered = sealed(shown[1])["M"]
    assert offered.startswith("thermometer 1.1.0, verifier ") and offered.endswith(f"{newest.size} bytes")
    assert sealed(shown[2])["verifier"].startswith(newest.verifier[:12].hex())
    assert sealed(shown[3])["L"] == f"127.0.0.1:{site.net.config['node']['seed_port']}"
    assert "[sealed for another key]" not in "".join(shown)


def test_a_repair_is_shown_to_its_end(site: Site) -> None:
    me = site.identity()
    keys = [site.service.private, me.private]
    shown = [trace.text(data, "n ->", keys) for data in exchange(site, me, "1.1.0", bytes(32))]
    assert kinds(shown) == REPAIR
    assert sealed(shown[4])["model D"] == "thermometer" and sealed(shown[5])["M"].startswith("thermometer 1.1.0")


def test_a_serving_node_opens_what_is_sealed_for_it_and_tells_what_it_sealed(site: Site) -> None:
    site.traced.clear()
    exchange(site, site.identity(), "1.0.0", bytes(32))
    assert kinds(site.traced) == C1_2
    assert [block.split()[1] for block in site.traced] == ["->", "<-", "->", "<-"]
    assert all(block.startswith("127.0.0.1 ") for block in site.traced)
    assert "verifier" in sealed(site.traced[2])
    assert sealed(site.traced[1])["M"].startswith("thermometer 1.1.0") and "L" in sealed(site.traced[3])


def test_without_the_key_a_box_stays_closed_and_says_so(site: Site) -> None:
    answer = trace.text(exchange(site, site.identity(), "1.0.0", bytes(32))[1], "n <-", [site.service.private])
    assert answer.endswith("[sealed for another key]") and sealed(answer) == {}


def test_what_is_no_message_is_traced_as_such(site: Site) -> None:
    site.traced.clear()
    assert site.post(b"\x1b[2Jhello").status == 400
    (line,) = site.traced
    assert "malformed message of 9 bytes" in line and "\x1b" not in line


@pytest.mark.parametrize(
    "listed", [{"a": b"", "b": b""}, {"info-hash": 1, "peers": 2}, {"info-hash": b"", "peers": b""}]
)
def test_a_hostile_sealed_list_stops_no_trace(site: Site, listed: dict) -> None:
    me = site.identity()
    node = site.service.exchange
    body = message.new("res_download", me.net, bytes(20), node.id, 7)
    body["v"] = b"1.0.0"
    run(message.seal(node.public, body, {"l": listed, "id": bytes(20), "r": 7}))
    assert site.post(run(message.sign(me.private, body))).status == 403
    body["cert"] = b"junk"
    assert site.post(encode(dict(body, sig=bytes(64)))).status == 400
