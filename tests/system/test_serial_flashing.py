"""`fwchain board flash|deploy|provision|reset|monitor|firmware` as commands, on a powered virtual board."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial_support import esptool, run

from fwchain import network
from fwchain.board import image
from fwchain.board.partition_table import PartitionTable
from fwchain.board.virtual import VirtualBoard
from fwnode.compat import run as run_steps
from fwnode.trust.cert import Certificate

HEAP = 512 * 1024  # what is tried here is the way to the board, not its memory


def fwchain(*args: object, code: int = 0, cwd: Path | None = None, timeout: float = 120) -> str:
    """Run the command line; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "fwchain.cli.app", "board", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        cwd=cwd,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Boards that others run on this machine are not found from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FWCHAIN_RUN", str(tmp_path_factory.mktemp("run")))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(application image, full image) of a virtual board's firmware."""
    folder = tmp_path_factory.mktemp("firmware")
    out = fwchain("firmware", "--out", folder, "--version", "1.2.3", "--json")
    app, full = (Path(json.loads(line)["file"]) for line in out.splitlines() if "file" in line)
    assert image.describe(app.read_bytes()) == ("1.2.3", "thermometer")
    assert "1.2.3" in run("esptool", "image-info", app)
    return app, full


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, built: tuple[Path, Path]) -> Iterator[VirtualBoard]:
    """A board that was flashed from blank by the command."""
    folder = tmp_path_factory.mktemp("boards") / "b1"
    with VirtualBoard.create(folder, heap=HEAP, table=False) as made:
        made.start(serial=True, reboot_after_cut=True)
        out = fwchain("flash", "--firmware", built[1])
        assert "flashed; the board runs it" in out
        yield made


def mpremote(board: VirtualBoard, *args: object) -> str:
    return run("mpremote", "connect", board.supervisor.urls[0], *args, timeout=60)


def test_flash_is_byte_for_byte_what_was_written(board: VirtualBoard, built: tuple[Path, Path], tmp_path: Path) -> None:
    full = built[1].read_bytes()
    out = tmp_path / "read.bin"
    esptool(board.supervisor.urls[0], "read-flash", "0x1000", hex(len(full)), out)
    read = out.read_bytes()
    assert len(read) == len(full)
    assert read[:0xC000] + read[0xE000:] == full[:0xC000] + full[0xE000:]  # the boot loader writes otadata
    assert PartitionTable.from_binary(full[0x7000:0x7C00]) == board.kind.table


def test_flashed_board_boots_the_version(board: VirtualBoard) -> None:
    assert _state(board, "running")
    end = time.monotonic() + 5
    while "Loaded app from partition at offset 0x10000" not in board.console() and time.monotonic() < end:
        time.sleep(0.05)
    assert "Loaded app from partition at offset 0x10000" in board.console()
    assert board.status()["slots"][0]["version"] == "1.2.3"


def test_deploy_twice_changes_nothing(board: VirtualBoard) -> None:
    first = fwchain("deploy")
    assert "deployed:" in first
    assert "nothing to do" in fwchain("deploy")
    again = fwchain("deploy", "--tool", "ampy", "--port", board.supervisor.urls[2], "--json")
    assert json.loads(again.splitlines()[-1])["copied"] == 0
    mpremote(board, "fs", "rm", ":lib/fwnode/__init__.mpy")
    stale = "for n in 'a.py', 'chain/b.mpy': open('/lib/fwnode/' + n, 'w').close()"
    mpremote(board, "exec", "import os; os.mkdir('/lib/fwnode/chain')\n" + stale)
    assert "1 of " in (out := fwchain("deploy", "--tool", "ampy"))
    assert "2 removed" in out
    assert "'index.pack'" in (there := mpremote(board, "exec", "import os; print(os.listdir('/lib/fwnode'))"))
    assert "chain" not in there
    words = mpremote(
        board, "exec", "import sys; sys.path.insert(0, '/lib'); import fwnode", "+", "df", "+", "fs", "ls", ":"
    )
    assert "filesystem" in words and "fw/" in words  # what is mounted for imports is in nobody's way


def test_deploy_leaves_alone_what_an_application_names(board: VirtualBoard, tmp_path: Path) -> None:
    fwchain("deploy")
    reach = (
        "import sys; sys.path.insert(0, '/lib'); from fwnode.update import failures as f; print(hasattr(f, 'Failures'))"
    )
    assert mpremote(board, "exec", reach).strip() == "False"
    (tmp_path / "app.py").write_text("from fwnode.update.failures import Failures\n")
    assert "deployed:" in fwchain("deploy", "--app", tmp_path)
    assert mpremote(board, "exec", reach).strip() == "True"
    assert "no app.py" in fwchain("deploy", "--app", tmp_path / "..", code=3)


def test_deploy_keeps_a_makers_own_main(board: VirtualBoard) -> None:
    fwchain("deploy")
    mpremote(board, "exec", "f = open('/main.py', 'w'); f.write('import machine'); f.close()")
    assert "/main.py on the board is your own" in fwchain("deploy")
    assert mpremote(board, "fs", "cat", "main.py") == "import machine"
    mpremote(board, "fs", "rm", ":main.py")
    assert "1 of " in fwchain("deploy")


def test_deploy_repairs_what_a_pulled_plug_left(board: VirtualBoard) -> None:
    fwchain("deploy")
    mpremote(board, "exec", "import os\nfor n in range(5): os.remove('/lib/fwnode/%d.pack' % n)")
    boots = board.status()["boots"]
    board.cut_at(20, "mid")
    fwchain("deploy", code=5)
    deadline = time.monotonic() + 10
    while board.status()["boots"] == boots and time.monotonic() < deadline:
        time.sleep(0.05)
    there = mpremote(board, "exec", "import os; print(os.listdir('/lib/fwnode'))")
    assert "__init__.mpy" in there and "index.pack" not in there  # a half-done pack is none
    assert "deployed:" in fwchain("deploy")
    assert "nothing to do" in fwchain("deploy")


def test_provision(board: VirtualBoard, tmp_path: Path) -> None:
    net = network.create(tmp_path / "net", network.Plan())
    fwchain("provision", "--network", tmp_path / "none", code=3)
    out = fwchain("provision", "--network", net.folder, "--wifi-ssid", "home", "--wifi-key", "secret", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    public = bytes.fromhex(rows[-1]["public"])
    assert "secret" not in out
    assert "key made on the board" in out
    code = (
        "from fwnode.update.keys import KeyStore; import binascii; k = KeyStore(); "
        "print(*[binascii.hexlify(k.get(n)).decode() for n in ('pk', 'cert', 'genesis')])"
    )
    stored = [bytes.fromhex(word) for word in mpremote(board, "exec", code).split()]
    assert stored[0] == public
    certificate = Certificate(stored[1])
    assert certificate.public == public
    assert certificate.model == "thermometer"
    run_steps(certificate.check(net.root, int(time.time())))
    assert stored[2] == net.genesis.hash
    config = json.loads(mpremote(board, "fs", "cat", "/fwchain/config.json"))
    assert config["wifi"] == [["home", "secret"]]
    assert config["nodes"] == [net.config.url]
    verifier = mpremote(board, "exec", "from fwnode.update.keys import KeyStore; print(KeyStore().record('run'))")
    assert "1.2.3" in verifier
    again = fwchain("provision", "--network", net.folder, "--json")
    assert "it keeps it" in again
    assert json.loads(again.splitlines()[-1])["public"] == public.hex()


def test_a_provisioned_board_gives_its_prompt_at_any_moment(board: VirtualBoard) -> None:
    """Ctrl-C meets the start, imports, the file system's C code, asyncio: none of them may end the board."""
    for tenths in range(8):
        board.reset()
        time.sleep(tenths / 10 + 0.03)
        assert mpremote(board, "exec", "print('here')").strip() == "here"
    assert "uncaught NLR" not in board.console()


def test_reset_and_monitor(board: VirtualBoard) -> None:
    watch = subprocess.Popen(
        [sys.executable, "-m", "fwchain.cli.app", "board", "monitor", "--seconds", "4"],
        stdout=subprocess.PIPE,
    )
    try:
        time.sleep(1.2)
        fwchain("reset")
        out, _ = watch.communicate(timeout=20)
    finally:
        watch.kill()
        watch.wait()
    assert b"POWERON_RESET" in out
    assert b"2nd stage bootloader" in out


def test_reset_into_download_mode_and_back(board: VirtualBoard) -> None:
    for how in ((board.folder,), ("--port", board.name)):
        assert "download mode" in fwchain("reset", *how, "--download")
        assert _state(board, "download")
        fwchain("reset", *how)
        assert _state(board, "running")


def _state(board: VirtualBoard, wanted: str) -> bool:
    end = time.monotonic() + 5
    while board.supervisor.state != wanted and time.monotonic() < end:
        time.sleep(0.02)
    return board.supervisor.state == wanted


def test_flash_an_application_keeps_keys_and_files(
    board: VirtualBoard, built: tuple[Path, Path], tmp_path: Path
) -> None:
    mpremote(board, "exec", "f = open('kept', 'w'); f.write('kept'); f.close()")
    other = tmp_path / "other.bin"
    image.build_image("thermometer", "1.2.4", {"main.py": b"print('1.2.4 runs')\n"}, other)
    fwchain("flash", "--app", other)
    assert board.status()["slots"][0]["version"] == "1.2.4"
    assert mpremote(board, "fs", "cat", "kept") == "kept"
    assert "full flash image" in fwchain("flash", "--app", built[1], code=3)


def test_wrong_files_are_refused_before_the_first_erase(
    board: VirtualBoard, built: tuple[Path, Path], tmp_path: Path
) -> None:
    before = board.flash.read(0x10000, 0x180000), board.flash.wear()[0][16:0x190]
    app, full = built
    file = tmp_path / "wrong.bin"
    assert "application image alone" in fwchain("flash", "--firmware", app, code=3)
    file.write_bytes(b"hello")
    assert "no ESP image" in fwchain("flash", "--firmware", file, code=3)
    file.write_bytes(full.read_bytes() + bytes(4 << 20))
    assert "too large" in fwchain("flash", "--firmware", file, code=3)
    assert "is built for ESP32, BOARD=esp32c3" in fwchain(
        "flash", "--board", "esp32c3", "--port", board.name, "--firmware", full, code=3
    )
    data = bytearray(full.read_bytes())
    single = PartitionTable([p for p in board.kind.table if p.name != "ota_1"])
    data[0x7000:0x7C00] = single.to_binary()
    file.write_bytes(data)
    assert "no OTA layout" in fwchain("flash", "--firmware", file, code=3)
    data[0x7010] ^= 1
    file.write_bytes(data)
    assert "damaged partition table" in fwchain("flash", "--firmware", file, code=3)
    assert before == (board.flash.read(0x10000, 0x180000), board.flash.wear()[0][16:0x190])


def test_ports(board: VirtualBoard, tmp_path: Path) -> None:
    """One board is found, several are listed, none is said."""
    with VirtualBoard.create(tmp_path / "b2", "esp32c3", heap=HEAP) as second:
        second.start(serial=True)
        out = fwchain("deploy", code=3)
        assert "several boards" in out
        assert board.supervisor.urls[0] in out
        assert second.supervisor.urls[0] in out
        out = fwchain("flash", "--board", "esp32", "--port", second.name, "--firmware", _esp32(tmp_path), code=5)
        assert "is an ESP32-C3, not an ESP32" in out
    assert "does not run" in fwchain("deploy", "--port", tmp_path / "b2", code=5)
    assert "cannot be opened" in fwchain("deploy", "--port", "/dev/ttyNONE", code=5)
    assert "cannot be opened" in fwchain("deploy", "--port", "socket://127.0.0.1:1", code=5)
    assert "no reset lines" in fwchain("reset", "--port", "socket://127.0.0.1:1", code=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FWCHAIN_RUN", str(tmp_path / "empty"))
        assert "no virtual board with a serial port is running" in fwchain("deploy", code=3)


def test_no_permission_on_the_port(tmp_path: Path) -> None:
    """Each command says what to do about it, whatever its tool says."""
    without = []
    if os.geteuid() == 0:  # who may do everything must give that up to be refused
        without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv (util-linux)")
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.chmod(name, 0)
    (tmp_path / "image.bin").write_bytes(b"")
    try:
        for words in (
            *("deploy", "deploy --tool ampy", "repl", "monitor --seconds 1", "reset"),
            *("flash", f"flash --app {tmp_path / 'image.bin'}"),
        ):
            command = [*without, sys.executable, "-m", "fwchain.cli.app", "board", *words.split(), "--port", name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
            assert done.returncode == 5, (words, done.stdout, done.stderr)
            assert f"no permission on {name}" in done.stderr and "dialout" in done.stderr
    finally:
        os.close(master)
        os.close(slave)


def _esp32(folder: Path) -> Path:
    from fwchain.board import boards
    from fwchain.flashing.build import full_image

    path = folder / "esp32.bin"
    app = image.build_image("thermometer", "1.0.0", {"main.py": b""})
    path.write_bytes(full_image(boards.load("esp32"), app))
    return path


def test_not_micropython_and_no_fwnode(tmp_path: Path) -> None:
    """A board whose image has no fwnode is told to be deployed first."""
    net = network.create(tmp_path / "net", network.Plan())
    firmware = image.build_image("thermometer", "1.0.0", {"main.py": b""})
    with VirtualBoard.create(tmp_path / "bare", heap=HEAP) as bare:
        bare.flash_image(0, firmware)
        bare.start(serial=True)
        out = fwchain("provision", "--port", bare.name, "--network", net.folder, code=3)
        assert "deploy it first" in out


@pytest.mark.skipif("IDF_PATH" in os.environ, reason="ESP-IDF is installed here")
def test_firmware_for_a_real_chip_says_what_is_missing() -> None:
    out = fwchain("firmware", "--board", "esp32", code=3)
    assert "ESP-IDF" in out
    assert "MICROPYTHON_SOURCE" in out
    assert "FIRMWARE is missing" in fwchain("flash", "--board", "esp32", "--port", "/dev/ttyNONE", code=3)


def test_a_fresh_boards_boot_py_is_replaced_a_makers_is_not(board: VirtualBoard) -> None:
    """MicroPython's own boot.py has only comments in it."""
    fwchain("deploy")
    fresh = "# This file is executed on every boot\\n#import esp\\n#esp.osdebug(None)\\n"
    mpremote(board, "exec", f"f = open('/boot.py', 'w'); f.write('{fresh}'); f.close()")
    assert "1 of " in fwchain("deploy")
    mpremote(board, "exec", "f = open('/boot.py', 'w'); f.write('import gc\\ngc.collect()'); f.close()")
    assert "/boot.py on the board is your own" in fwchain("deploy")
    mpremote(board, "fs", "rm", ":boot.py")
    assert "1 of " in fwchain("deploy")


def test_repl_is_a_terminal(board: VirtualBoard) -> None:
    """What is typed arrives, what the board says is shown, Ctrl-] leaves."""
    import pty
    import select

    mpremote(board, "exec", "pass")  # it waits at its prompt
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "fwchain.cli.app", "board", "repl", "--port", board.name]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    try:
        for typed, wanted in ((b"", b"Use Ctrl-]"), (b"print(6*7)\r", b"42\r\n"), (b"\x1d", b"")):
            os.write(master, typed)
            end = time.monotonic() + 20
            while wanted not in seen and time.monotonic() < end:
                if select.select([master], [], [], 0.5)[0]:
                    seen += os.read(master, 1024)
            assert wanted in seen
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert process.returncode == 0
