"""The verification node's HTTP face: what it refuses, what it counts, what it shows (design: bad input)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_world import Site, make_network, serving

from fwchain.errors import HostError
from fwchain.events import Log
from fwchain.verification.service import Service
from fwnode.compat import run
from fwnode.trust.root import Root
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode
from fwnode.wire.fields import MAX_MESSAGE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(make_network(tmp_path_factory.mktemp("http") / "net")) as site:
        yield site


def ask(site: Site) -> tuple[bytes, bytes]:
    """A right `req_verchk`, and the private key that signed it."""
    me = site.identity()
    return run(site.request(me, "1.0.0", bytes(32)).begin())[0][1], me.private


def counted(site: Site, data: bytes) -> tuple[int, bytes, dict[str, int]]:
    """(status, body, what was counted for it by reason)."""
    before = site.dropped()
    answer = site.post(data)
    after = site.dropped()
    more = {reason: count - before.get(reason, 0) for reason, count in after.items()}
    return answer.status, answer.body, {reason: count for reason, count in more.items() if count}


@pytest.mark.parametrize("size", [MAX_MESSAGE + 1, 200_000])
def test_an_oversized_message_is_refused_with_the_limit_and_counted(site: Site, size: int) -> None:
    status, body, reasons = counted(site, bytes(size))
    assert status == 413 and str(MAX_MESSAGE).encode() in body
    assert reasons == {"oversized": 1}


def test_a_message_of_exactly_the_limit_is_looked_at(site: Site) -> None:
    assert counted(site, bytes(MAX_MESSAGE))[0] == 400


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("v", b"1.0", "version"),
        ("d", 7, "d: a string expected"),
        ("d", b"two words", "d: printable ASCII without spaces expected"),
        ("d", b"colour\x1b[31m", "d: printable ASCII without spaces expected"),
        ("cert", [b"x"], "cert: a string expected"),
        ("d", b"x" * 33, "d: 33 bytes or entries, limits 1 to 32"),
        ("port", 80, "port: 80 is outside 1024 to 65535"),
        ("from", b"short", "from: 5 bytes"),
        ("ts", b"now", "ts: a number expected"),
        ("zz", 1, "req_verchk: field zz does not belong there"),
        ("r", None, "req_verchk: field r is missing"),
    ],
)
def test_a_malformed_message_is_answered_with_the_field_and_its_limit(
    site: Site, field: str, value: object, text: str
) -> None:
    data, private = ask(site)
    changed = dict(decode(data), **{field: value})
    changed = {key: value for key, value in changed.items() if value is not None}
    if field == "v":  # its form is looked at once the signature holds
        data = run(message.sign(private, changed))
    else:
        data = encode(changed)
    status, body, reasons = counted(site, data)
    assert status == 400 and text in body.decode() and body.count(b"\n") == 1
    assert reasons == {"malformed": 1}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("net", bytes(8), "network"), ("sig", bytes(63) + b"\x01", "signature"), ("from", bytes(20), "id")],
)
def test_a_dropped_message_gets_no_word_and_is_counted(site: Site, field: str, value: bytes, reason: str) -> None:
    data, _ = ask(site)
    status, body, reasons = counted(site, encode(dict(decode(data), **{field: value})))
    assert (status, body, reasons) == (403, b"", {reason: 1})


def test_a_log_that_no_block_may_hold_is_counted_too(site: Site) -> None:
    me = site.identity()
    late = dict(decode(site.log(me)), ts=2**33)
    status, body, reasons = counted(site, run(message.sign(me.private, late)))
    assert (status, body, reasons) == (403, b"", {"log": 1})


def test_trust_roots_by_number(site: Site) -> None:
    answer = site.get("/root/1")
    assert answer.status == 200 and Root(answer.body).number == 1
    for name in ("0", "2", "01", "x", "-1", "%C2%B2", "..%2Fgenesis", "..%2f..%2fkeys%2fnode.pem"):
        assert site.get(f"/root/{name}").status == 404, name


def test_metrics_are_in_the_form_that_prometheus_reads(site: Site) -> None:
    for line in site.get("/metrics").text.splitlines():
        name, value = line.rsplit(" ", 1)
        assert name.startswith("fwchain_") and float(value) >= 0
    assert "fwchain_releases 0" in site.get("/metrics").text


def test_the_page_for_people_escapes_what_came_from_outside(site: Site) -> None:
    """A model may hold any printable ASCII: a vendor's slip must not become a script in the operator's browser."""
    evil = "<script>x</script>&\"'"
    release, image = site.release("3.0.0", model=evil)
    assert site.publish(release, image).status == 200
    answer = site.get("/")
    assert answer.status == 200
    assert "<script>" not in answer.text and "&lt;script&gt;x&lt;/script&gt;&amp;" in answer.text
    assert release.info_hash.hex() in answer.text


def test_what_is_not_there_is_404(site: Site) -> None:
    for path in ("/nothing", "/firmware/" + "0" * 40 + "/x", "/firmware/zz/x", "/root/"):
        assert site.get(path).status == 404, path
    assert site.get("/fwchain").status == 405


@pytest.mark.parametrize("which", ["port", "publish_port", "seed_port"])
def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, which: str) -> None:
    net = make_network(tmp_path / "net")

    async def start() -> None:
        service = Service(net, Log(None))
        try:
            await service.start()
        finally:
            await service.stop()

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", net.config["node"][which]))
        taken.listen()
        with pytest.raises(HostError) as caught:
            asyncio.run(start())
    assert "\n" not in str(caught.value) and str(net.config["node"][which]) in str(caught.value)
