"""The flash contents that the power-cut machinery makes from the notes of a run."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from fwchain.board.flash import Flash
from fwchain.board.powercut import __main__ as powercut
from fwchain.board.powercut import states
from fwchain.board.powercut.states import Cut, Operation

SECTOR = 4096
START = b"\xff" * SECTOR + b"\x00" * SECTOR
RUN = [Operation(SECTOR, b""), Operation(0, b"\x5a" * 256), Operation(SECTOR, b"\x0f")]


def test_journal_of_a_flash(tmp_path: Path) -> None:
    states.make_journal(tmp_path / "journal.bin", 1 << 20)
    with Flash.create(tmp_path / "flash.bin", 2 * SECTOR) as flash:
        journal = bytearray((tmp_path / "journal.bin").read_bytes())
        flash.nor.journal = memoryview(journal)
        flash.erase(SECTOR)
        flash.program(200, b"\x5a" * 100)  # crosses a page: two operations
    (tmp_path / "journal.bin").write_bytes(journal)
    assert states.read_journal(tmp_path / "journal.bin") == [
        Operation(SECTOR, b""),
        Operation(200, b"\x5a" * 56),
        Operation(256, b"\x5a" * 44),
    ]


def test_every_content_of_a_run() -> None:
    cuts = states.all_cuts(RUN, range(0))
    assert len(cuts) == 1 + 3 * 3
    found = dict(states.contents(START, RUN, cuts))
    assert found[Cut(0, "after")] == START
    assert found[Cut(1, "mid")] == b"\xff" * SECTOR + b"\xff" * 2048 + b"\x00" * 2048
    assert found[Cut(1, "bits")] == b"\xff" * SECTOR + b"\x55" * SECTOR
    erased = b"\xff" * 2 * SECTOR
    assert found[Cut(1, "after")] == erased
    assert found[Cut(2, "mid")] == b"\x5a" * 128 + erased[128:]
    assert found[Cut(2, "bits")] == b"\x5f" * 256 + erased[256:]
    assert found[Cut(3, "after")] == b"\x5a" * 256 + b"\xff" * (SECTOR - 256) + b"\x0f" + b"\xff" * (SECTOR - 1)


def test_in_a_slot_programs_are_not_cut_in_their_bits() -> None:
    cuts = states.all_cuts(RUN, range(SECTOR, 2 * SECTOR))
    assert Cut(1, "bits") in cuts and Cut(3, "bits") not in cuts and Cut(2, "bits") in cuts
    assert [c.number for c in cuts[:4]] == [0, 2, 2, 2]  # what is outside the slots comes first


@pytest.mark.parametrize("text", ["17", "x:mid", "17:before", "17:mid:"])
def test_what_is_no_cut(text: str) -> None:
    with pytest.raises(ValueError):
        Cut.parse(text)


def test_cuts_around_one() -> None:
    assert Cut(7, "mid").around(0, 9) == [Cut(7, "mid")]
    assert Cut(10, "mid").around(0, 9) == []
    assert Cut(1, "mid").around(1, 9)[:3] == [Cut(0, "after"), Cut(1, "mid"), Cut(1, "bits")]
    assert {cut.number for cut in Cut(9, "after").around(2, 9)} == {7, 8, 9}


def test_help_names_how_to_repeat_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        powercut.main(["--help"])
    assert "--only CUT" in capsys.readouterr().out


def test_a_cut_that_cannot_be_judged_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        board = type("Board", (), {"folder": Path("/nowhere")})()

        def run(self, cut: Cut, flash: bytes, second: None) -> None:
            raise OSError("no room")

    class Node:
        def check(self) -> None:
            pass

    run = object.__new__(powercut.Run)
    run.outcomes, run.scene = [], type("Scene", (), {"node": Node()})()  # type: ignore[assignment]
    waiting: queue.Queue = queue.Queue()
    waiting.put((Cut(3, "mid"), b"", None))
    waiting.put(None)
    run._work(Broken(), waiting)  # type: ignore[arg-type]
    assert "FAILED 3:mid: not judged: OSError('no room')" in capsys.readouterr().err
    assert len(run.outcomes) == 1 and run.outcomes[0].problems
