"""Disk full, database gone: requests fail with 503, nothing half-written stays, the service resumes (design 13)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_world import MODEL, Site, database_gone, full_disk, make_network, serving, wait_until

from fwchain.board.image import build_image
from fwnode.chain.record import release_record
from fwnode.compat import run

Trouble = Callable[[Site], contextlib.AbstractContextManager[None]]
LIMIT = 4096  # bytes that a file may have while the disk is full: less than anything that is stored here
TROUBLES = [
    pytest.param(lambda site: full_disk(LIMIT), id="disk full"),
    pytest.param(database_gone, id="database gone"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(make_network(tmp_path / "net")) as site:
        yield site


def logs_in_chain(site: Site) -> int:
    from fwchain.chainstore.show import summaries

    return sum(len(row["logs"]) for row in summaries(site.service.chain, 1, 50))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_verification_log_is_refused_with_503_and_taken_later(site: Site, trouble: Trouble) -> None:
    log = site.log()
    with trouble(site):
        answer = site.post(log)
        assert answer.status == 503 and answer.text == "the node's store fails now: try again later\n"
        assert site.post(log).status == 503
    assert site.service.chain.pool(10) == [] and logs_in_chain(site) == 0
    assert site.post(log).status == 200
    wait_until(lambda: logs_in_chain(site) == 1, "the log's block")
    assert site.post(log).status == 200  # known already: the same answer, not a second row
    assert logs_in_chain(site) == 1 and site.service.chain.pool(10) == []


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_publication_is_refused_with_503_whole_and_taken_later(site: Site, trouble: Trouble) -> None:
    image = build_image(MODEL, "1.0.0", {"app.py": b"", "filler.bin": os.urandom(40_000)})
    release, _ = site.release("1.0.0", image)
    with trouble(site):
        answer = site.publish(release, image)
        assert answer.status == 503 and "cannot store the release" in answer.error
        assert "\n" not in answer.error
    assert list(site.net.releases.iterdir()) == []
    site.service.releases.reload()
    assert site.service.releases.all() == [] and site.service.chain.waiting_release() is None
    assert site.get(f"/firmware/{release.info_hash.hex()}/{release.name}").status == 404
    assert site.publish(release, image).status == 200
    assert site.get(f"/firmware/{release.info_hash.hex()}/{release.name}").body == image
    wait_until(lambda: site.service.chain.tip().height > 0, "the release's block")


def test_a_row_that_fails_after_the_announcement_takes_it_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the chain's queue and the releases' table the disk fills up: neither keeps anything."""
    site.service.miner.stop()  # it would look at once whether there is a release
    release, image = site.release("1.0.0")

    def full(one: object) -> None:
        assert site.service.chain.waiting_release() == release_record(release.metainfo)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(site.service.releases, "add", full)
        answer = site.publish(release, image)
    assert answer.status == 503 and "No space left on device" in answer.error
    assert site.service.chain.waiting_release() is None
    assert list(site.net.releases.iterdir()) == []
    assert site.publish(release, image).status == 200


def test_exchanges_go_on_while_the_store_is_gone(site: Site) -> None:
    """Tickets are the memory of an exchange, so a board is told the newest version all the same."""
    release, image = site.release("1.0.0")
    assert site.publish(release, image).status == 200
    for trouble in (full_disk(LIMIT), database_gone(site)):
        request = site.request(site.identity(), "1.0.0", release.verifier)
        actions = run(request.begin())
        with trouble:
            while actions[0][0] != "end":
                answer = site.post(actions[0][-1])
                assert answer.status == 200, answer.text
                actions = run(request.receive(answer.body, "v"))
        assert actions[0][1] == "current"


def test_pages_say_503_while_the_database_is_gone(site: Site) -> None:
    with database_gone(site):
        for path in ("/", "/metrics", "/chain/tip", "/chain/headers"):
            answer = site.get(path)
            assert answer.status == 503 and answer.text.count("\n") == 1, path
        assert site.get("/root/1").status == 200
    for path in ("/", "/metrics", "/chain/tip"):
        assert site.get(path).status == 200


def test_events_that_the_disk_does_not_take_are_counted(site: Site) -> None:
    with site.net.events.open("a") as file:
        file.write("x" * LIMIT + "\n")
    with full_disk(LIMIT):
        assert site.post(b"nothing").status == 400
        assert site.post(run(site.request(site.identity(), "1.0.0", bytes(32)).begin())[0][1]).status == 403
    lines = site.get("/metrics").text.splitlines()
    assert "fwchain_unwritten_total 1" in lines
