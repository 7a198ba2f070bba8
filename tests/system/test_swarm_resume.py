"""A download that is cut at any sector goes on from what the slot really holds."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from swarm_support import PIECE, Board, Made, assert_done, fetch, seeded

CUTS = 50
SECTORS = PIECE // 4096
IN_FLIGHT = 5  # pieces: a pipeline of ten blocks


def whole_pieces(made: Made, data: bytes) -> list[int]:
    """The pieces of the release that are really among these bytes."""
    release = made.release
    return [
        index
        for index in range(release.piece_count)
        if hashlib.sha1(data[index * PIECE : index * PIECE + release.piece_size(index)]).digest()
        == release.piece_hash(index)
    ]


def test_cut_after_block_k_fifty_times(tmp_path: Path) -> None:
    """For fifty seeded k: cut, go on, complete; no piece is fetched again but those that were in flight."""
    made = Made(tmp_path, 24 * PIECE + 777)
    seed = seeded(made)
    total = (len(made.data) + 4095) // 4096
    peers = [["127.0.0.1", seed.port, True]]
    for k in random.Random(6).sample(range(1, total), CUTS):
        with Board(tmp_path, made, peers=peers, exit_after=k) as board:
            board.process.wait(20)
        held = whole_pieces(made, board.bytes())
        assert k - len(held) * SECTORS <= IN_FLIGHT * SECTORS
        again = fetch(tmp_path, made, peers, fresh=False)
        done = assert_done(again, made)
        assert again.of("resumed")[0]["have"] == len(held), f"k = {k}"
        missing = len(made.data) - sum(made.release.piece_size(index) for index in held)
        assert done["fetched"] == missing, f"k = {k}"
        assert done["writes"] == 1, f"k = {k}"
        assert done["wasted"] <= IN_FLIGHT * PIECE, f"k = {k}"  # what a choke crossed on its way
    seed.stop()


def test_slot_is_hashed_and_not_believed(tmp_path: Path) -> None:
    """One wrong byte in a piece that was complete: that piece alone is fetched again."""
    made = Made(tmp_path)
    seed = seeded(made)
    peers = [["127.0.0.1", seed.port, True]]
    assert_done(fetch(tmp_path, made, peers), made)
    slot = tmp_path / "board.slot"
    data = bytearray(slot.read_bytes())
    data[3 * PIECE + 9] ^= 0x40
    slot.write_bytes(data)
    again = fetch(tmp_path, made, peers, fresh=False)
    assert assert_done(again, made)["fetched"] == PIECE
    nothing = fetch(tmp_path, made, peers, fresh=False)
    assert assert_done(nothing, made)["fetched"] == 0
    seed.stop()
