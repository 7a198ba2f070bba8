"""Boards among libtorrent clients: fetching, seeding, and in one swarm."""

from __future__ import annotations

import time
from pathlib import Path

import libtorrent as lt
import pytest
from swarm_support import PIECE, Board, Client, Made, Tracking, assert_done, fetch, free_port, seeded
from update_support import Fleet


def test_board_fetches_from_libtorrent(tmp_path: Path) -> None:
    made = Made(tmp_path, 48 * PIECE)
    seed = seeded(made)
    board = fetch(tmp_path, made, [["127.0.0.1", seed.port, True]])
    done = assert_done(board, made)
    assert done["writes"] == 1 and done["fetched"] == len(made.data)
    assert done["stats"]["127.0.0.1"][0] == len(made.data) + done["wasted"]
    seed.stop()


def test_board_fetches_with_a_fragmented_heap(tmp_path: Path) -> None:
    made = Made(tmp_path, 48 * PIECE)
    seed = seeded(made)
    board = fetch(tmp_path, made, [["127.0.0.1", seed.port, True]], fragment=True)
    assert_done(board, made)
    seed.stop()


def test_libtorrent_fetches_from_a_board(tmp_path: Path) -> None:
    made = Made(tmp_path)
    port = free_port("127.0.0.3")
    slot = tmp_path / "board.slot"
    slot.write_bytes(made.data + b"\xff" * (-len(made.data) % 4096))
    with (
        Board(tmp_path, made, ip="127.0.0.3", port=port, seed=True, fresh=False, stay=60) as board,
        Client() as client,
    ):
        board.wait("done")
        client.add(made.metainfo(), tmp_path / "lt")
        client.connect("127.0.0.3", port)
        client.finish()
    assert (tmp_path / "lt" / "image.bin").read_bytes() == made.data


def test_boards_and_libtorrent_in_one_swarm(tmp_path: Path) -> None:
    """Three boards and a client, each of which knows the seed and the others: all finish, and boards give too."""
    made = Made(tmp_path, 40 * PIECE + 100)
    seed = seeded(made, rate=400_000)
    ips = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
    rows = [[ip, free_port(ip)] for ip in ips]
    peers = [["127.0.0.1", seed.port, True], *rows]
    boards = [
        Board(tmp_path, made, ip, ip=ip, port=port, peers=peers, stay=60, limits={"retry_ms": 100}) for ip, port in rows
    ]
    try:
        with Client("127.0.0.20") as client:
            client.add(made.metainfo(), tmp_path / "lt")
            for ip, port in rows:
                client.connect(ip, port)
            dones = [board.wait("done", "failed", timeout=40) for board in boards]
            client.finish()
        for board in boards:
            assert_done(board, made)
        fellows = [sum(done["stats"].get(ip, [0, 0])[0] for ip in ips) for done in dones]
        assert all(fellows), "a board got nothing from its fellows: {}".format([d["stats"] for d in dones])
        assert seed.uploaded() < 3.2 * len(made.data)
    finally:
        for board in boards:
            board.stop()
        seed.stop()


@pytest.mark.parametrize("protocol", ["http", "udp"])
def test_libtorrent_announces_and_scrapes(tmp_path: Path, protocol: str) -> None:
    """A seed and a client meet by the tracker alone, and its scrape tells of both."""
    made = Made(tmp_path)
    with Tracking(made.info_hash) as tracking:
        url = tracking.http if protocol == "http" else tracking.udp
        seed = seeded(made, tracker=url)
        tracking.until(1)
        with Client(alert_mask=int(lt.alert.category_t.tracker_notification)) as client:
            client.add(made.metainfo(url), tmp_path / "lt")
            client.finish()
            tracking.until(2)
            client.handle.scrape_tracker()
            counts = scraped(client)
        seed.stop()
    assert counts == (2, 0)


def scraped(client: Client, timeout: float = 10) -> tuple[int, int]:
    """(seeds, leechers) of the next scrape's answer."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        client.session.wait_for_alert(200)
        for alert in client.session.pop_alerts():
            assert not isinstance(alert, lt.scrape_failed_alert), alert.message()
            if isinstance(alert, lt.scrape_reply_alert):
                return alert.complete, alert.incomplete
    raise AssertionError(f"no answer to the scrape within {timeout} s")


def test_libtorrent_fetches_from_the_web_seed_alone(tmp_path: Path) -> None:
    """M as published, without its trackers: what is left is /firmware/… of the verification node (BEP 19)."""
    with Fleet(tmp_path) as fleet:
        update = fleet.release("1.0.0", size=400_000)
        fleet.publish(update)
        with Client() as client:
            params = lt.add_torrent_params()
            params.ti = lt.torrent_info(lt.bdecode(update.release.metainfo))
            params.trackers = []
            params.url_seeds = update.release.web_seeds
            params.save_path = str(tmp_path / "lt")
            params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
            params.flags |= lt.torrent_flags.override_trackers | lt.torrent_flags.override_web_seeds
            client.handle = client.session.add_torrent(params)
            assert client.handle.trackers() == []
            client.finish()
        assert (tmp_path / "lt" / update.release.name).read_bytes() == update.image
