"""A virtual board from outside: its folder, its command line, what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fwchain.board.image import ImageError, build_image
from fwchain.board.virtual import VirtualBoard, loopback_address
from fwchain.cli import app as cli
from fwchain.errors import SetupError

MAIN = {"main.py": b"print('up')\nwhile True: pass\n"}


def fwchain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run one command: exit code, what it printed, what it complained of."""
    code = cli.run(list(arguments))
    text = capsys.readouterr()
    return code, text.out, text.err


def test_new_status_flip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = build_image("thermometer", "1.0.0", MAIN, tmp_path / "firmware.bin")
    folder = str(tmp_path / "board")
    code, out, _ = fwchain(
        capsys, "board", "new", folder, "--mac", "24:0a:c4:00:00:07", "--firmware", str(tmp_path / "firmware.bin")
    )
    assert code == 0 and "24:0a:c4:00:00:07" in out and "127.1.0.8" in out
    code, out, _ = fwchain(capsys, "board", "status", folder, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["slots"][0] == {
        **report["slots"][0],
        "slot": "ota_0",
        "state": "VALID",
        "version": "1.0.0",
        "model": "thermometer",
        "length": len(image),
    }
    assert report["slots"][1]["image"] == "-"
    assert {row["partition"]: row["erases"] for row in report["wear"]}["ota_0"] == 1
    code, out, _ = fwchain(capsys, "board", "status", folder)
    assert code == 0 and "thermometer 1.0.0" in out
    code, out, _ = fwchain(capsys, "board", "flip", folder, "0x130", "--slot", "0")
    assert code == 0 and "flash 0x010130" in out
    report = json.loads(fwchain(capsys, "board", "status", folder, "--json")[1])
    assert "Checksum failed" in report["slots"][0]["image"]
    code, out, _ = fwchain(capsys, "board", "flip", folder, "--slot", "0")
    assert code == 0 and "flash 0x0100b4" in out  # in the description: a board that runs goes on running


def test_clear_words_for_wrong_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = str(tmp_path / "board")
    assert fwchain(capsys, "board", "new", board)[0] == 0
    for arguments, message in [
        (("status", str(tmp_path)), "no virtual board"),
        (("new", board), "holds a board already"),
        (("new", str(tmp_path / "x"), "--board", "arduino"), "there are: esp32"),
        (("new", str(tmp_path / "y"), "--heap", "lots"), "not like 192k"),
        (("new", str(tmp_path / "y"), "--mac", "zz:zz"), "a MAC has 6 bytes"),
        (("new", str(tmp_path / "y"), "--mac", "24:0a"), "a MAC has 6 bytes"),
        (("new", str(tmp_path / "z"), "--mac", "12:34"), "a MAC has 6 bytes"),
        (("reset", board), "is not running"),
        (("flip", board, "0x999999"), "outside the flash"),
        (("flip", board, "3", "--slot", "9"), "no slot '9'"),
        (("flip", board, "3", "--slot", "running"), "never booted"),
        (("run", board, "--cut", "x"), "not like 17"),
    ]:
        code, _, err = fwchain(capsys, "board", *arguments)
        assert code != 0 and message in err, (arguments, err)
        assert len(err.strip().splitlines()) == 1


def test_run_shows_the_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "board"
    with VirtualBoard.create(folder) as board:
        board.flash_image(0, build_image("m", "1", MAIN))
    assert cli.run(["board", "run", str(folder), "--cut", "1", "--seconds", "5"]) == 0
    assert "power was cut" in capfd.readouterr().err
    assert cli.run(["board", "run", str(folder), "--seconds", "1"]) == 0
    out = capfd.readouterr().out
    assert "SPI_FAST_FLASH_BOOT" in out and "\nup\n" in out
    assert cli.run(["board", "kinds", "--json"]) == 0


def test_only_one_may_run_a_board(tmp_path: Path) -> None:
    with VirtualBoard.create(tmp_path / "board") as board:
        board.flash_image(0, build_image("m", "1", MAIN))
        board.start()
        with VirtualBoard(tmp_path / "board") as other, pytest.raises(SetupError, match="running already"):
            other.start()
        with pytest.raises(SetupError, match="running already"):
            board.start()


def test_a_board_is_free_at_once_when_it_was_switched_off(tmp_path: Path) -> None:
    """A process that is being started in another thread has a copy of the lock's descriptor for a moment."""
    with VirtualBoard.create(tmp_path / "board") as board:
        board.start()
        copies = [os.dup(int(fd.name)) for fd in Path("/proc/self/fd").iterdir() if _is(fd, board.folder / "lock")]
        assert copies
        try:
            board.stop()
            board.start()
        finally:
            for copy in copies:
                os.close(copy)


def _is(link: Path, file: Path) -> bool:
    try:
        return link.resolve() == file.resolve()
    except OSError:
        return False


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    with VirtualBoard.create(tmp_path / "board") as board:
        with pytest.raises(ImageError, match="slot 0 has 1572864"):
            board.flash_image(0, bytes(0x180001))
        with pytest.raises(ImageError, match="no application image"):
            board.flash_image(0, bytes(1000))
        with pytest.raises(SetupError, match="no slot 2"):
            board.flash_image(2, b"")
        with pytest.raises(ImageError):
            board.read_image(0)
        image = build_image("m", "1", MAIN)
        board.flash_image(1, image)
        assert board.read_image(1) == image
        assert board.status()["otadata"]["entries"][0] == {"seq": 2, "state": "VALID"}


def test_an_erased_board_says_so(tmp_path: Path) -> None:
    with VirtualBoard.create(tmp_path / "board") as board:
        board.start()
        assert board.wait(10) == "no boot"
        assert "No bootable app partitions" in board.console()
        assert [e["event"] for e in board.events()] == ["no_boot"]


def test_addresses_are_loopback_and_differ() -> None:
    found = {
        loopback_address(bytes([0x24, 0x0A, 0xC4, a, b, c])) for a in (0, 1, 254) for b in (0, 255) for c in (0, 7)
    }
    assert len(found) == 8  # 0 and 254 share a net
    assert all(address.startswith("127.") and not address.endswith(".0") for address in found)
