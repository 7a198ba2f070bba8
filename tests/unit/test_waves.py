"""Waves that stop by themselves, recalls, and every report that does not count (design: addition 13)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from service_world import MODEL, Site, make_network, serving, wait_until

from fwchain import keyfile
from fwchain.chainstore.schema import open_engine
from fwchain.cli import app
from fwchain.verification.waves import VENDOR, WAVE, Count, Waves
from fwnode import crypto
from fwnode.compat import run
from fwnode.roles.identity import Identity
from fwnode.roles.log import verification_log
from fwnode.trust import cert, issue
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release
from fwnode.wire import message
from fwnode.wire.bencode import decode

BAD = b"b" * 32


def key(number: int) -> bytes:
    return number.to_bytes(20, "big")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_engine(tmp_path / "waves.db")
    yield made
    made.dispose()


def test_ten_boards_and_five_percent_stop_a_wave() -> None:
    for offered, failed, stops in (
        (10, 9, False),
        (10, 10, True),
        (200, 10, True),
        (201, 10, False),
        (1000, 49, False),
    ):
        assert Count(offered, failed).stops is stops, (offered, failed)


def test_counts_survive_a_restart(engine: sa.Engine) -> None:
    waves = Waves(engine)
    for number in range(3):
        waves.offer(BAD, key(number), key(100 + number))
        waves.offer(BAD, key(number), key(100 + number))
    assert waves.report(BAD, key(0), key(100), "failed") == Count(3, 1)
    assert Waves(engine).count(BAD) == Count(3, 1)


def test_a_certified_key_counts_once(engine: sa.Engine) -> None:
    waves = Waves(engine)
    for request in (5, 6):
        waves.offer(BAD, key(1), key(request))
    assert waves.report(BAD, key(1), key(5), "rolled-back") == Count(1, 1)
    assert waves.report(BAD, key(1), key(5), "rolled-back") is None  # a replay
    assert waves.report(BAD, key(1), key(6), "failed") is None
    assert waves.count(BAD) == Count(1, 1)


def test_a_report_counts_only_for_a_release_that_was_offered_to_that_board_in_that_exchange(engine: sa.Engine) -> None:
    waves = Waves(engine)
    waves.offer(BAD, key(1), key(5))
    assert waves.report(BAD, key(2), key(5), "failed") is None  # offered to another board
    assert waves.report(b"c" * 32, key(1), key(5), "failed") is None  # another release
    assert waves.report(BAD, key(1), key(9), "failed") is None  # another exchange
    for outcome in ("current", "updated", "tampered", "answered"):
        assert waves.report(BAD, key(1), key(5), outcome) is None
    assert waves.count(BAD) == Count(1, 0)


def test_the_last_exchanges_of_a_board_are_remembered(engine: sa.Engine) -> None:
    waves = Waves(engine)
    for request in range(20):
        waves.offer(BAD, key(1), key(request))
    assert waves.report(BAD, key(1), key(11), "failed") is None
    assert waves.report(BAD, key(1), key(12), "failed") == Count(1, 1)


def recall_of(version: str, verifier: bytes = BAD, model: str = MODEL) -> Recall:
    return Recall(issue.recall(model, version, verifier, 5))


def test_boards_are_told_of_recalls_that_concern_them(engine: sa.Engine) -> None:
    waves = Waves(engine)
    for number in range(6):
        one = recall_of(f"1.{number}.0", bytes([number]) * 32)
        assert waves.recall(one, VENDOR, one.data)
    assert waves.told("kettle", "1.0.0") is None and waves.told(MODEL, "1.6.0") is None

    def versions(told: bytes | None) -> list[str]:
        assert told is not None
        return [Recall(data).version for data in decode(told)]

    assert versions(waves.told(MODEL, "1.0.0")) == ["1.5.0", "1.4.0", "1.3.0", "1.2.0"]
    assert versions(Waves(engine).told(MODEL, "1.5.0")) == ["1.5.0"]


def test_the_vendors_word_replaces_the_nodes_own(engine: sa.Engine) -> None:
    waves = Waves(engine)
    one = recall_of("1.1.0")
    assert waves.recall(one, WAVE, None) and not waves.recall(one, WAVE, b"x")
    assert waves.told(MODEL, "1.0.0") is None
    assert waves.recall(one, VENDOR, one.data) and not waves.recall(one, VENDOR, one.data)
    assert not waves.recall(one, WAVE, None)
    held = Waves(engine).recalled(BAD)
    assert held is not None and held.cause == VENDOR and held.statement == one.data


# over a verification node's real HTTP


class Trial:
    """A node that offers 1.1.0 to boards on 1.0.0."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.first = self.publish("1.0.0")
        self.bad = self.publish("1.1.0")

    def publish(self, version: str, **statement: object) -> Release:
        release, content = self.site.release(version, **statement)  # type: ignore[arg-type]
        assert self.site.publish(release, content).status == 200
        return release

    def ask(self, me: Identity, version: str = "1.0.0") -> tuple[int, dict[str, object], dict[str, object]]:
        """(r, clear fields, sealed fields) of one answered request."""
        request = self.site.request(me, version, bytes(32))
        answer = self.site.post(run(request.begin())[0][1])
        assert answer.status == 200
        parsed = message.parse(answer.body)
        return request.r, parsed, run(message.unseal(me.private, parsed))

    def report(self, me: Identity, r: int, outcome: str = "failed", release: Release | None = None) -> int:
        about = release or self.bad
        node = self.site.service.exchange.id
        return self.site.post(
            run(verification_log(me, r, node, int(time.time()), outcome, about.version, about.verifier))
        ).status

    def count(self) -> Count:
        return self.site.service.oversight.waves.count(self.bad.verifier)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with serving(make_network(tmp_path / "net")) as site:
        yield Trial(site)


def test_a_wave_stops_after_ten_boards_and_boards_are_told(trial: Trial) -> None:
    boards = [trial.site.identity() for _ in range(10)]
    for number, me in enumerate(boards):
        assert not trial.site.events("wave-stopped")
        r, _, sealed = trial.ask(me)
        assert sealed["v"] == b"1.1.0"
        assert trial.report(me, r, "failed" if number % 2 else "rolled-back") == 200
    (event,) = trial.site.events("wave-stopped")
    assert (event["version"], event["offered"], event["failed"], event["told"]) == ("1.1.0", 10, 10, True)
    _, clear, sealed = trial.ask(trial.site.identity())
    assert sealed["v"] == b"1.0.0" and "m" not in sealed
    (statement,) = decode(clear["recall"])
    recall = Recall(statement)
    assert recall.verifier == trial.bad.verifier and run(recall.check(trial.site.net.root)) is False
    text = trial.site.get("/metrics").text
    assert "fwchain_waves_stopped 1" in text
    assert f'fwchain_release_failed{{model="{MODEL}",version="1.1.0"}} 10' in text
    assert "stopped by itself; 10 of 10 boards" in trial.site.get("/").text
    # who runs it is compared with it all the same, and told
    _, clear, sealed = trial.ask(boards[0], "1.1.0")
    assert sealed["v"] == b"1.1.0" and "recall" in clear


def test_it_stays_stopped_after_a_restart_and_the_next_release_is_offered(tmp_path: Path) -> None:
    net = make_network(tmp_path / "net")
    with serving(net) as site:
        trial = Trial(site)
        for _ in range(10):
            me = site.identity()
            trial.report(me, trial.ask(me)[0])
        assert site.events("wave-stopped")
    with serving(net) as site:
        trial.site = site
        assert trial.ask(site.identity())[2]["v"] == b"1.0.0"
        trial.publish("1.1.1")
        assert trial.ask(site.identity())[2]["v"] == b"1.1.1"


def test_a_forged_report_counts_nothing(trial: Trial) -> None:
    """By another key, uncertified, sent again, about another exchange or release: each by its own rule."""
    me, other = trial.site.identity(), trial.site.identity()
    r, _, _ = trial.ask(me)
    assert trial.report(other, r) == 200 and trial.count() == Count(1, 0)  # another board's own log: not offered to it
    trial.ask(other)
    stolen = Identity(other.private, other.public, me.credential, MODEL, me.net, 4000)
    assert trial.report(stolen, r) == 403  # another key under this certificate: the ID is not its
    private = crypto.generate_key()
    public = crypto.public_key(private)
    soon = int(time.time()) + 1000
    alone = run(cert.issue(private, MODEL, public, soon))
    for credential in (("pu", public), ("cert", alone)):
        assert trial.report(Identity(private, public, credential, MODEL, me.net, 4000), r) == 403  # uncertified
    assert trial.report(me, r + 1) == 200  # no exchange in which it was offered
    assert trial.report(me, r + 2, release=trial.first) == 200  # about another release
    assert trial.count() == Count(2, 0)
    data = run(
        verification_log(me, r, trial.site.service.exchange.id, int(time.time()), "failed", "1.1.0", trial.bad.verifier)
    )
    for _ in range(3):
        trial.site.post(data)  # the true one, and then replays
    assert trial.count() == Count(2, 1)
    assert trial.site.post(data[:-70] + bytes(70)).status in (400, 403) and trial.count() == Count(2, 1)


def test_an_exchange_that_ends_with_an_error_on_the_new_release_is_no_failure_of_it(trial: Trial) -> None:
    """A board that runs 1.1.0 logs a failed exchange under its own version and verifier."""
    me = trial.site.identity()
    trial.ask(me)
    r, _, _ = trial.ask(me, "1.1.0")
    assert trial.report(me, r, "failed") == 200
    assert trial.count() == Count(1, 0)


def test_a_wave_reaches_boards_by_their_own_place(trial: Trial) -> None:
    staged = trial.publish("1.2.0", rollout=[int(time.time()) - 100, [[500, 0], [1000, 86400]]])
    seen = set()
    for _ in range(40):
        me = trial.site.identity()
        offered = trial.ask(me)[2]["v"] == b"1.2.0"
        assert offered == staged.offered(me.public, int(time.time()))
        seen.add(offered)
        if len(seen) == 2:
            return
    raise AssertionError("forty boards, all on the same side of one half")


# recalls by the vendor


def recall_body(site: Site, release: Release, *kinds: str) -> bytes:
    data = issue.recall(release.model, release.version, release.verifier, int(time.time()))
    for kind in kinds:
        data = run(issue.sign_recall(data, site.net.private(kind)))
    return data


def test_a_vendors_recall_is_taken_over_the_publishing_channel_and_told(trial: Trial) -> None:
    site = trial.site
    answer = site.upload(recall_body(site, trial.bad, "vendor"), "/recalls")
    assert answer.status == 200 and b'"news": true' in answer.body
    assert b'"news": false' in site.upload(recall_body(site, trial.bad, "vendor"), "/recalls").body
    _, clear, sealed = trial.ask(site.identity())
    assert sealed["v"] == b"1.0.0"
    assert run(Recall(decode(clear["recall"])[0]).check(site.net.root)) is True
    assert any(f"recalled     {MODEL} 1.1.0" in text for text in site.traced)
    assert "fwchain_releases_recalled 1" in site.get("/metrics").text
    assert "recalled by the vendor" in site.get("/").text


def rotate(site: Site, folder: Path, *words: object) -> None:
    path, number = folder / "next", len(site.net.roots) + 1
    assert app.run([str(word) for word in ("root", "new", "-n", site.net.folder, "-o", path, *words)]) == 0
    assert app.run(["root", "sign", str(path), "-n", str(site.net.folder)]) == 0
    assert app.run(["root", "publish", str(path), "-n", str(site.net.folder)]) == 0
    wait_until(lambda: [event for event in site.events("root") if event["number"] == number], "the new root")


def test_boards_are_told_only_of_recalls_that_they_believe(trial: Trial, tmp_path: Path) -> None:
    """The vendor's key is retired: its recall still holds here, is told again once the new key signed it."""
    site = trial.site
    assert site.upload(recall_body(site, trial.bad, "vendor"), "/recalls").status == 200
    assert site.service.oversight.waves.told(MODEL, "1.0.0")
    assert app.run(["root", "key", str(tmp_path / "vendor-2.pem")]) == 0
    rotate(
        site,
        tmp_path,
        "--add-vendor",
        tmp_path / "vendor-2.pem.pub",
        "--retire-vendor",
        site.net.key_files("vendor")[0],
    )
    assert site.service.oversight.waves.told(MODEL, "1.0.0") is None
    assert site.service.oversight.waves.recalled(trial.bad.verifier)
    data = issue.recall(MODEL, "1.1.0", trial.bad.verifier, 5)
    data = run(issue.sign_recall(data, keyfile.load(tmp_path / "vendor-2.pem")))
    assert b'"news": true' in site.upload(data, "/recalls").body
    told = site.service.oversight.waves.told(MODEL, "1.0.0")
    assert told and run(issue.unpack_recalls(told)[0].check(site.net.root)) is True


def test_a_node_that_alone_is_not_enough_stops_a_wave_for_itself_and_tells_nobody(trial: Trial, tmp_path: Path) -> None:
    assert app.run(["root", "key", str(tmp_path / "node-2.pem")]) == 0
    rotate(trial.site, tmp_path, "--add-node", tmp_path / "node-2.pem.pub", "--node-threshold", 2)
    for _ in range(10):
        me = trial.site.identity()
        trial.report(me, trial.ask(me)[0])
    (event,) = trial.site.events("wave-stopped")
    assert event["told"] is False
    _, clear, sealed = trial.ask(trial.site.identity())
    assert sealed["v"] == b"1.0.0" and "recall" not in clear
    rotate(trial.site, tmp_path, "--node-threshold", 1)  # its own word is enough again
    _, clear, _ = trial.ask(trial.site.identity())
    (recall,) = issue.unpack_recalls(clear["recall"])  # type: ignore[arg-type]
    assert run(recall.check(trial.site.net.root)) is False


def test_a_recall_that_the_vendor_did_not_sign_is_refused(trial: Trial) -> None:
    site = trial.site
    for body, status, text in (
        (recall_body(site, trial.bad), 403, "signed by too few"),
        (recall_body(site, trial.bad, "root"), 403, "signed by too few"),
        (recall_body(site, trial.bad, "node"), 403, "not the vendor's"),
        (b"junk", 400, "bencode"),
        (bytes(4000), 400, "limit 2048"),
    ):
        answer = site.upload(body, "/recalls")
        assert answer.status == status and text in answer.error, answer.error
    assert trial.ask(site.identity())[2]["v"] == b"1.1.0"
