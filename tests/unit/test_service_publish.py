"""Publishing to a whole verification node: each publication that it refuses, and that nothing of it stays."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_world import DAY_S, Answer, Site, make_network, serving, wait_until

from fwnode.compat import run
from fwnode.roles import UPDATE
from fwnode.wire.fields import MAX_METAINFO


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(make_network(tmp_path_factory.mktemp("publish") / "net")) as site:
        yield site


def kept(site: Site) -> tuple[list[str], list[bytes], bool]:
    """What a publication leaves: folders, releases on offer, whether one waits for the chain."""
    service = site.service
    service.releases.reload()
    names = sorted(path.name for path in site.net.releases.iterdir())
    return names, [release.metainfo for release in service.releases.all()], service.chain.waiting_release() is not None


@pytest.fixture
def unchanged(site: Site) -> Iterator[None]:
    before = kept(site)
    yield
    assert kept(site) == before
    assert not [name for name in before[0] if name.startswith("incoming-")]


def test_a_release_is_offered_seeded_and_put_into_the_chain(site: Site) -> None:
    release, image = site.release("1.0.0")
    answer = site.publish(release, image)
    assert answer.status == 200 and release.info_hash.hex() in answer.text
    found = site.get(f"/firmware/{release.info_hash.hex()}/{release.name}")
    assert (found.status, found.body) == (200, image)
    wait_until(lambda: site.service.chain.tip().height > 0, "the release's block")
    (event,) = site.events("published")
    assert event["version"] == "1.0.0"


@pytest.mark.usefixtures("unchanged")
def test_the_same_version_twice(site: Site) -> None:
    release, image = site.release("1.0.0")
    answer = site.publish(release, image)
    assert answer.status == 409 and "thermometer 1.0.0 is published already" in answer.error
    other, image = site.release("1.0.0", site.release("1.0.9")[1])
    answer = site.publish(other, image)
    assert answer.status == 409 and "with another verifier" in answer.error


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("change", ["shorter", "longer", "nothing"])
def test_a_body_of_another_length_than_announced(site: Site, change: str) -> None:
    release, image = site.release("1.1.0")
    body = {"shorter": image[:-1], "longer": image + b"\x00", "nothing": b""}[change]
    answer = site.publish(release, body)
    assert answer.status == 400
    assert ("ended" if change != "longer" else f"bytes after the {len(image)}") in answer.error


@pytest.mark.usefixtures("unchanged")
def test_bytes_that_do_not_have_the_verifier(site: Site) -> None:
    release, image = site.release("1.1.0")
    answer = site.publish(release, image[:-1] + bytes([image[-1] ^ 1]))
    assert answer.status == 400 and "verifier" in answer.error


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("expected", ["full flash image", "magic", "at least", "chip id", "but the file has"])
def test_what_is_no_application_image(site: Site, expected: str) -> None:
    """Signed all the same: the vendor's own tools refuse to, but the signature is not what a boot loader reads."""
    image = site.release("1.1.0")[1]
    content, platform = {
        "full flash image": (b"\xe9\x03" + bytes(0x7FFE) + b"\xaa\x50" + bytes(30000), "virtual"),
        "magic": (b"MZ" + os.urandom(5000), "virtual"),
        "at least": (b"\xe9", "virtual"),
        "chip id": (image, "esp32s3"),
        "but the file has": (image + bytes(4096), "virtual"),
    }[expected]
    release = site.sign("1.1.0", content, platform=platform)
    answer = site.publish(release, content)
    assert answer.status == 400 and expected in answer.error


@pytest.mark.usefixtures("unchanged")
def test_an_expired_m(site: Site) -> None:
    now = int(time.time())
    release, image = site.release("1.1.0", issued=now - DAY_S, expires=now - 1)
    answer = site.publish(release, image)
    assert answer.status == 403 and "expired" in answer.error


@pytest.mark.usefixtures("unchanged")
def test_an_unsigned_m(site: Site) -> None:
    image = site.release("1.1.0")[1]
    answer = site.publish(site.sign("1.1.0", image, signed=False), image)
    assert answer.status == 403 and "0 of 1 vendor signatures" in answer.error


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "ended inside M"),
        (bytes(4), "M: 0 bytes, limits 1 to"),
        ((MAX_METAINFO + 1).to_bytes(4, "big"), f"M: {MAX_METAINFO + 1} bytes, limits 1 to {MAX_METAINFO}"),
        (b"\x00\x00\x10\x00d4:info", "ended inside M"),
        (b"\x00\x00\x00\x02de", "M: release: a dictionary expected"),
    ],
)
def test_what_is_no_publication(site: Site, body: bytes, text: str) -> None:
    answer = site.upload(body)
    assert answer.status == 400 and text in answer.error


def test_two_uploads_of_one_version_at_once_leave_one_whole_release(site: Site) -> None:
    """The slower one finds the version taken; it must not pull the files away under the faster one."""
    release, image = site.release("2.0.0", site.release("2.0.0")[1])
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(site.publish(release, image))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert site.get(f"/firmware/{release.info_hash.hex()}/{release.name}").body == image
    assert kept(site)[1].count(release.metainfo) == 1


def test_the_same_file_as_another_release_is_refused_and_takes_nothing_with_it(site: Site) -> None:
    """Both would have one info-hash: in the swarm, in the seed and in the folder."""
    first, image = site.release("5.0.0", name="app.bin")
    assert site.publish(first, image).status == 200
    for changes in ({}, {"model": "another"}):
        again = site.sign("5.0.1", image, name="app.bin", **changes)
        assert again.info_hash == first.info_hash
        answer = site.publish(again, image)
        assert answer.status == 409 and "has the same file as thermometer 5.0.0" in answer.error
    assert site.get(f"/firmware/{first.info_hash.hex()}/app.bin").body == image
    renamed = site.sign("5.0.1", image, name="app-5.0.1.bin")
    assert site.publish(renamed, image).status == 200


def test_a_published_release_is_there_again_after_a_restart(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    with serving(net) as site:
        release, image = site.release("1.0.0")
        assert site.publish(release, image).status == 200
    with serving(net) as again:
        assert again.get(f"/firmware/{release.info_hash.hex()}/{release.name}").body == image
        assert again.publish(release, image).status == 409


@pytest.mark.parametrize(("address", "first"), [("localhost", ["127.0.0.1"]), ("no-such-name.invalid", [])])
def test_l_has_the_seed_s_address_also_where_the_node_has_a_name(tmp_path: Path, address: str, first: list) -> None:
    """L has IPv4 addresses alone (design: 7 bytes a peer); where a name has none, boards have the web seed."""
    net = make_network(tmp_path / "net", address=address)
    with serving(net) as site:
        release, image = site.release("1.1.0")
        assert site.publish(release, image).status == 200
        request = site.request(site.identity(), "1.0.0", bytes(32))
        actions = run(request.begin())
        while actions[0][0] != UPDATE:
            answer = site.post(actions[0][-1])
            assert answer.status == 200
            actions = run(request.receive(answer.body, "v"))
        assert actions[0][2] == [(ip, net.config["node"]["seed_port"], True) for ip in first]
