"""An update that is cut off in the middle, on either side, and goes on; a release that outlives its publisher."""

from __future__ import annotations

import time
from pathlib import Path

from swarm_support import Client
from update_support import MODEL, Fleet

from fwchain.board import provision
from fwnode import crypto
from fwnode.compat import run
from fwnode.net.http import post
from fwnode.net.messages import PATH
from fwnode.roles import END, UPDATE
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.request import Request
from fwnode.trust import cert

SLOW = 250_000  # bytes a second that the seed gives
PIECE = 32768


class Clock:
    def now(self) -> int:
        return int(time.time())

    def told(self) -> int:
        return self.now()

    def learn(self, seconds: int) -> None:
        pass


def request_of(fleet: Fleet, version: str, verifier: bytes) -> Request:
    """A request node of this network on the host: the same state machine as on a board."""
    private = crypto.generate_key()
    public = crypto.public_key(private)
    certificate = run(cert.issue(fleet.network.private("enrolment"), MODEL, public, int(time.time()) + 1000))
    me = Identity(private, public, ("cert", certificate), MODEL, fleet.network.genesis.net, 4000)

    def measure():  # type: ignore[no-untyped-def]
        yield
        return verifier

    return Request(me, version, fleet.network.root, measure, Clock(), Counters(), 1, 7)


def test_a_verification_node_killed_in_the_middle_of_an_exchange(tmp_path: Path) -> None:
    """Killed and started anew between any two messages, it answers the next one: tickets are all its memory."""
    import asyncio

    with Fleet(tmp_path) as fleet:
        release = fleet.release("1.0.0")
        fleet.publish(release)
        for verifier, last in ((release.release.verifier, END), (bytes(32), UPDATE)):
            request = request_of(fleet, "1.0.0", verifier)
            actions = run(request.begin())
            while actions[0][0] not in (END, UPDATE):
                reply = asyncio.run(post(fleet.config.url + PATH, actions[0][-1], 16384))
                actions = run(request.receive(reply, fleet.config.url))
                fleet.kill_node()
                fleet.serve()
            assert actions[0][0] == last and request.counters.by_reason == {}


def test_a_verification_node_killed_in_the_middle_of_a_download(tmp_path: Path) -> None:
    """Its seed and tracker go with it; the board waits for it, and keeps what it has."""
    with Fleet(tmp_path, seed_upload=SLOW) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "current")
        new = fleet.release("1.1.0", size=900_000)
        fleet.publish(new)
        pieces = fleet.wait(board, "swarm-resumed", have=0)["pieces"]
        while fleet.wait(board, "swarm-progress")["left"] > pieces - 8:
            pass
        fleet.kill_node()
        fleet.serve()
        had = 0  # pieces that were there when the download that ends well began
        while (event := fleet.wait(board, "swarm-resumed", "downloaded", timeout=120))["event"] == "swarm-resumed":
            had = event["have"]
        assert had == 0 or had >= 8
        assert sum(event["down"].values()) <= len(new.image) - had * PIECE + 3 * PIECE
        fleet.wait(board, "updated", version="1.1.0", timeout=120)
        assert board.read_image(1) == new.image


def test_a_board_killed_in_the_middle_of_a_download_resumes(tmp_path: Path) -> None:
    """It hashes what is in the slot and fetches no whole piece of that again."""
    with Fleet(tmp_path, seed_upload=SLOW) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "current")
        new = fleet.release("1.1.0", size=900_000)
        fleet.publish(new)
        pieces = fleet.wait(board, "swarm-resumed", have=0)["pieces"]
        while fleet.wait(board, "swarm-progress")["left"] > pieces - 8:
            pass
        board.kill()
        board.start()
        have = fleet.wait(board, "swarm-resumed")["have"]
        done = fleet.wait(board, "downloaded", version="1.1.0", timeout=60)
        assert have >= 8
        assert sum(done["down"].values()) <= len(new.image) - have * PIECE + 3 * PIECE
        fleet.wait(board, "updated", version="1.1.0")


def test_a_board_whose_download_fails_seeds_on(tmp_path: Path) -> None:
    """With its only source gone the download ends and says why, and the board serves what it runs, as before."""
    with Fleet(tmp_path, seed_upload=100_000) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old)
        fleet.wait(board, "seeding", version="1.0.0")
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0", size=900_000))
        fleet.wait(board, "swarm-progress")
        fleet.kill_node()
        assert "no source" in fleet.wait(board, "failed", version="1.1.0", timeout=90)["why"]
        fleet.wait(board, "seeding", version="1.0.0")
        with Client() as client:
            client.add(old.release.metainfo, tmp_path / "lt")
            client.connect(board.ip, fleet.config["board"]["port"])
            client.finish()
        assert (tmp_path / "lt" / old.release.name).read_bytes() == old.image


def test_a_release_is_downloaded_from_the_boards_alone(tmp_path: Path) -> None:
    """With the verification node and its seed gone, libtorrent gets the release out of the boards' slots."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0", size=300_000)
        fleet.publish(only)
        boards = [fleet.board(only) for _ in range(2)]
        for board in boards:
            fleet.wait(board, "seeding")
            fleet.wait(board, "current")
        fleet.kill_node()
        with Client() as client:
            client.add(only.release.metainfo, tmp_path / "client")
            for board in boards:
                client.connect(board.ip, fleet.config["board"]["port"])
            client.finish(60)
        assert (tmp_path / "client" / only.release.name).read_bytes() == only.image


def test_nobody_answers_is_no_update_and_said_so(tmp_path: Path) -> None:
    """A board whose verification node is gone says that it is unanswered, not that it is current."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        board = fleet.board(only, group="")
        fleet.wait(board, "current")
        fleet.kill_node()
        fleet.wait(board, "unanswered")
        fleet.serve()
        fleet.wait(board, "current")


def test_a_new_release_that_reaches_nobody_is_rolled_back_and_tried_again_later(tmp_path: Path) -> None:
    """The network is gone in the first boot: rolled back, not blacklisted (design: addition 12)."""
    with Fleet(tmp_path) as fleet:
        old = fleet.release("1.0.0")
        fleet.publish(old)
        board = fleet.board(old, group="")
        fleet.wait(board, "current")
        fleet.publish(fleet.release("1.1.0"))
        fleet.wait(board, "installed", version="1.1.0")
        fleet.kill_node()
        fleet.wait(board, "giving-up", version="1.1.0", reason="network", timeout=180)
        fleet.wait(board, "rolled-back", version="1.1.0", why="network")
        fleet.serve()
        assert fleet.wait(board, "refused", version="1.1.0")["reason"] == "wait"
        board.stop()
        assert provision.read_nvs(board.flash, board.table, "fwchain", "fail")


def test_a_board_that_was_off_for_long_is_answered_again(tmp_path: Path) -> None:
    """Its newest known time is old by then: it must not be told as the time that it is."""
    with Fleet(tmp_path) as fleet:
        only = fleet.release("1.0.0")
        fleet.publish(only)
        board = fleet.board(only)
        fleet.wait(board, "current")
        board.stop()
        long_ago = (int(time.time()) - 100_000).to_bytes(8, "big")
        provision.write_nvs(board.flash, board.table, {"fwchain": {"time": long_ago}})
        board.start()
        fleet.wait(board, "started")
        fleet.wait(board, "current")
