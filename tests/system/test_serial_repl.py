"""The released mpremote and ampy, unpatched, against a virtual board's REPL and littlefs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from serial_support import esptool, run

from fwchain.board import image
from fwchain.board.virtual import VirtualBoard

LOOP = b"import time\nprint('main runs')\nwhile True:\n    time.sleep_ms(20)\n"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    """A powered board whose firmware's main.py only says hello."""
    folder = tmp_path_factory.mktemp("boards") / "repl"
    firmware = image.build_image("thermometer", "1.0.0", {"main.py": b"print('from rom')\n"})
    with VirtualBoard.create(folder, heap=192 * 1024) as made:
        made.flash_image(0, firmware)
        made.start(serial=True)
        yield made


def mpremote(board: VirtualBoard, *args: object, port: int = 0, check: bool = True) -> str:
    return run("mpremote", "connect", board.supervisor.urls[port], *args, check=check, timeout=40)


def ampy(board: VirtualBoard, *args: object, check: bool = True) -> str:
    return run("ampy", "-p", board.supervisor.urls[0], *args, check=check, timeout=40)


def wait_for(board: VirtualBoard, text: str, since: int = 0, timeout: float = 10) -> bool:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if text in board.console()[since:]:
            return True
        time.sleep(0.05)
    return False


def test_mpremote_exec_and_run(board: VirtualBoard, tmp_path: Path) -> None:
    assert mpremote(board, "exec", "print(6 * 7)").strip() == "42"
    script = tmp_path / "script.py"
    script.write_text("for i in range(3):\n    print('line', i)\n")
    assert mpremote(board, "run", script).split() == ["line", "0", "line", "1", "line", "2"]
    out = mpremote(board, "exec", "1 / 0", check=False)
    assert "ZeroDivisionError" in out


def test_mpremote_fs(board: VirtualBoard, tmp_path: Path) -> None:
    data = os.urandom(20_000)
    local, back = tmp_path / "data.bin", tmp_path / "back.bin"
    local.write_bytes(data)
    text = tmp_path / "text.txt"
    text.write_text("hello\nworld\n")
    mpremote(board, "fs", "mkdir", "folder")
    mpremote(board, "fs", "cp", local, ":folder/data.bin", "+", "fs", "cp", text, ":text.txt")
    assert "20000 data.bin" in mpremote(board, "fs", "ls", "folder")
    assert mpremote(board, "fs", "cat", "text.txt") == "hello\nworld\n"
    mpremote(board, "fs", "cp", ":folder/data.bin", back)
    assert back.read_bytes() == data
    mpremote(board, "fs", "rm", "folder/data.bin", "+", "fs", "rmdir", "folder")
    listing = mpremote(board, "fs", "ls")
    assert "folder" not in listing
    assert "text.txt" in listing


def test_mpremote_df_and_mount(board: VirtualBoard, tmp_path: Path) -> None:
    assert "VfsLfs2" in mpremote(board, "df")
    (tmp_path / "here.py").write_text("ANSWER = 'from the computer'\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 4)
    code = "import here; print(here.ANSWER, sum(open('/remote/binary', 'rb').read()))"
    out = mpremote(board, "mount", tmp_path, "exec", code)
    assert f"from the computer {sum(range(256)) * 4}" in out


def test_main_is_interrupted_and_not_run_under_raw_repl(board: VirtualBoard, tmp_path: Path) -> None:
    """A running main.py yields to Ctrl-C; a soft reset from raw REPL does not start it again."""
    main = tmp_path / "main.py"
    main.write_bytes(LOOP)
    since = len(board.console())
    mpremote(board, "fs", "cp", main, ":main.py", "+", "reset")
    assert wait_for(board, "main runs", since)
    since = len(board.console())
    assert mpremote(board, "exec", "print('interrupted')").strip() == "interrupted"
    assert "KeyboardInterrupt" in board.console()[since:]
    mpremote(board, "soft-reset")
    assert "MPY: soft reboot" in board.console()[since:]
    assert "main runs" not in board.console()[since:]


def test_soft_reset_from_the_friendly_prompt_runs_main(board: VirtualBoard) -> None:
    """Ctrl-D at >>> says "soft reboot" and runs main.py; no boot loader runs then."""
    with serial.Serial(board.supervisor.urls[0], timeout=5) as port:
        port.write(b"\r\x03\x02")
        port.read_until(b">>> ")
        since = len(board.console())
        port.write(b"\x04")
        assert port.read_until(b"main runs\r\n").endswith(b"main runs\r\n")
        assert "MPY: soft reboot" in board.console()[since:]
        assert "boot:0x13" not in board.console()[since:]
        port.write(b"\x03")
        assert b"KeyboardInterrupt" in port.read_until(b">>> ")
        port.write(b"while True:\r    pass\r\r\r")
        time.sleep(0.3)
        port.write(b"\x03")
        assert b"KeyboardInterrupt" in port.read_until(b"Interrupt: \r\n>>> ")


def test_raw_paste(board: VirtualBoard) -> None:
    with serial.Serial(board.supervisor.urls[0], timeout=5) as port:
        port.write(b"\r\x03\x01")
        assert port.read_until(b"CTRL-B to exit\r\n>").endswith(b">")
        port.write(b"\x05A\x01")
        assert port.read(2) == b"R\x01"
        window = int.from_bytes(port.read(2), "little")
        assert window >= 32
        port.write(b"print('pasted')\x04")
        assert b"pasted" in port.read_until(b"\x04>")
        port.write(b"\x02")


def test_hard_reset_shows_the_boot_log(board: VirtualBoard) -> None:
    since = len(board.console())
    mpremote(board, "reset")
    assert wait_for(board, "main runs", since)
    log = board.console()[since:]
    assert "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)" in log
    assert "Loaded app from partition at offset 0x10000" in log


def test_ampy(board: VirtualBoard, tmp_path: Path) -> None:
    local, script = tmp_path / "file.txt", tmp_path / "run.py"
    local.write_text("hello ampy\n")
    script.write_text("print('ran', 1 + 1)\n")
    ampy(board, "put", local, "ampy.txt")
    assert "/ampy.txt" in ampy(board, "ls").split()
    assert ampy(board, "get", "ampy.txt").rstrip() == "hello ampy"
    assert ampy(board, "run", script).strip() == "ran 2"
    ampy(board, "mkdir", "ampydir")
    assert "/ampydir" in ampy(board, "ls").split()
    ampy(board, "rmdir", "ampydir")
    ampy(board, "rm", "ampy.txt")
    since = len(board.console())
    ampy(board, "reset")
    assert wait_for(board, "soft reboot", since)
    listing = ampy(board, "ls").split()
    assert "/ampy.txt" not in listing
    assert "/ampydir" not in listing


@pytest.mark.parametrize("port", [1, 2], ids=["rfc2217", "socket"])
def test_mpremote_over_the_network(board: VirtualBoard, port: int) -> None:
    assert mpremote(board, "exec", "print('over', 'tcp')", port=port).strip() == "over tcp"


def test_reset_lines_over_rfc2217(board: VirtualBoard) -> None:
    """RTS alone resets; the boot log comes out of the port."""
    with serial.serial_for_url(board.supervisor.urls[1], timeout=5) as port:
        port.dtr = False
        port.rts = True
        port.rts = False
        assert b"POWERON_RESET" in port.read_until(b"POWERON_RESET")
        assert b"main runs" in port.read_until(b"main runs")


def test_esptool_between_repl_sessions(board: VirtualBoard) -> None:
    """Flashing takes the board from its program and gives it back, files and all."""
    mpremote(board, "exec", "f = open('kept.txt', 'w'); f.write('kept'); f.close()")
    esptool(board.supervisor.urls[0], "read-mac")
    assert board.supervisor.state == "download"
    end = time.monotonic() + 10
    while board.supervisor.state != "running" and time.monotonic() < end:
        time.sleep(0.05)
    assert mpremote(board, "fs", "cat", "kept.txt") == "kept"


def test_ctrl_c_while_the_board_starts_is_not_lost(board: VirtualBoard) -> None:
    """A tool that opens the port in the middle of a boot still gets its prompt."""
    for delay in (0.0, 0.03, 0.06, 0.09):
        board.reset()
        time.sleep(delay)
        assert mpremote(board, "exec", "print('here')").strip() == "here"
