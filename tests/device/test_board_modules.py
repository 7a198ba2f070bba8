"""The board's own modules, tested on a virtual board, and what only the outside sees: resets, rollback, power cuts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fwchain.board import provision
from fwchain.board.image import build_image
from fwchain.board.virtual import VirtualBoard

HERE = Path(__file__).parent
HARNESS = (HERE / "on_board.py").read_bytes()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A new virtual board."""
    with VirtualBoard.create(tmp_path / "board", wifi={"virtual": "password", "other": "secret"}) as board:
        yield board


def flash(board: VirtualBoard, main: str, slot: int = 0, version: str = "1.0.0", **files: bytes) -> None:
    """Put firmware whose main.py is `main` into a slot."""
    content = {"main.py": main.encode(), **{f"{name}.py": data for name, data in files.items()}}
    board.flash_image(slot, build_image("test", version, content), select=slot == 0)


def until(board: VirtualBoard, wanted: Callable[[list[dict[str, Any]]], bool], timeout: float = 20) -> list[dict]:
    """Collect events until `wanted` says that they are all."""
    events: list[dict] = []
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        events += board.events()
        if wanted(events):
            return events
        time.sleep(0.02)
    raise AssertionError(f"{events}\n{board.console()[-3000:]}")


def seen(events: list[dict], kind: str) -> list[dict]:
    """The events of one kind."""
    return [e for e in events if e["event"] == kind]


def say(what: str) -> str:
    """Firmware that prints an event with what `what` evaluates to."""
    return f"print(json.dumps({{'event': 'said', 'what': {what}}}))\n"


@pytest.mark.parametrize("name", ["partition", "nvs", "machine", "network"])
def test_module_on_the_board(board: VirtualBoard, name: str) -> None:
    module = f"on_board_{name}"
    files = {"on_board": HARNESS, module: (HERE / f"{module}.py").read_bytes()}
    flash(board, f"import on_board; on_board.run('{module}')", **files)
    board.start()
    events = until(board, lambda e: bool(seen(e, "tests_done")), 40)
    tests = seen(events, "test")
    failed = [t for t in tests if t["error"]]
    assert not failed, "\n".join(t["test"] + "\n" + t["error"] for t in failed)
    assert len(tests) >= 5
    assert name == "partition" or board.flash.violations == 0


RESETS = """
import json, machine
rtc = machine.RTC()
n = int(rtc.memory() or b'0') + 1
rtc.memory(str(n).encode())
print(json.dumps({"event": "up", "n": n, "cause": machine.reset_cause()}))
try:
    if n == 1:
        machine.reset()
    elif n == 2:
        machine.soft_reset()
    elif n == 3:
        machine.deepsleep(150)
    elif n == 4:
        raise SystemExit
finally:
    print(json.dumps({"event": "finally"}))
"""


def test_resets_and_their_causes(board: VirtualBoard) -> None:
    flash(board, RESETS)
    board.start()
    events = until(board, lambda e: len(seen(e, "up")) == 5)
    assert [e["cause"] for e in seen(events, "up")] == [1, 5, 5, 4, 5]
    ups = seen(events, "up")
    assert ups[3]["ts"] - ups[2]["ts"] >= 0.15
    assert len(seen(events, "boot")) == 3  # a soft reset does not go through the boot loader
    board.wait(5)
    assert len(seen(events + board.events(), "finally")) == 2  # after SystemExit, and at the end
    board.reset()
    events = until(board, lambda e: bool(seen(e, "up")))
    assert seen(events, "up")[0] == {**seen(events, "up")[0], "n": 1, "cause": 1}  # the button clears RTC memory


def test_watchdog_bites_a_busy_loop(board: VirtualBoard) -> None:
    flash(
        board, "import json, machine\n" + say("machine.reset_cause()") + "machine.WDT(timeout=1000)\nwhile True: pass"
    )
    board.start()
    events = until(board, lambda e: len(seen(e, "said")) == 2)
    assert [e["what"] for e in seen(events, "said")] == [1, 3]
    assert seen(events, "reset")[0]["cause"] == "watchdog"


def test_watchdog_bites_after_a_crash(board: VirtualBoard) -> None:
    flash(board, "import json, machine\n" + say("machine.reset_cause()") + "machine.WDT(timeout=1000)\n1/0")
    board.start()
    events = until(board, lambda e: len(seen(e, "said")) == 2)
    assert seen(events, "main_ended")[0]["code"] == 1
    assert "ZeroDivisionError" in board.console()


def test_watchdog_that_is_fed_does_not_bite(board: VirtualBoard) -> None:
    main = "import json, machine, time\nw = machine.WDT(timeout=1000)\n"
    flash(board, main + "for i in range(15):\n time.sleep_ms(100)\n w.feed()\n" + say("1"))
    board.start()
    events = until(board, lambda e: bool(seen(e, "said")))
    assert not seen(events, "reset")


def test_what_is_not_committed_is_lost(board: VirtualBoard) -> None:
    main = """
import json, machine, esp32
n = esp32.NVS("fwtest")
try:
    print(json.dumps({"event": "said", "what": [n.get_i32("kept"), None]}))
    n.get_i32("lost")
    print(json.dumps({"event": "said", "what": "lost is there"}))
except OSError as error:
    print(json.dumps({"event": "said", "what": error.args[0]}))
if machine.reset_cause() == 1:
    n.set_i32("kept", 1)
    n.commit()
    n.set_i32("lost", 2)
    assert n.get_i32("lost") == 2
    machine.reset()
"""
    flash(board, main)
    board.start()
    events = until(board, lambda e: len(seen(e, "said")) == 3)
    assert [e["what"] for e in seen(events, "said")] == [-4354, [1, None], -4354]


OLD = """
import json, machine, esp32
print(json.dumps({"event": "up", "version": "old", "cause": machine.reset_cause()}))
n = esp32.NVS("fwtest")
try:
    n.get_i32("tried")
except OSError:
    n.set_i32("tried", 1)
    n.commit()
    esp32.Partition(esp32.Partition.RUNNING).get_next_update().set_boot()
    machine.reset()
"""


def boot_new(board: VirtualBoard, new: str, count: int) -> list[str]:
    """Firmware in slot 0 that boots slot 1 once; returns the versions that came up, in order."""
    flash(board, OLD)
    flash(
        board, 'import json, machine, esp32\nprint(json.dumps({"event": "up", "version": "new"}))\n' + new, 1, "1.1.0"
    )
    board.start()
    return [e["version"] for e in seen(until(board, lambda e: len(seen(e, "up")) >= count), "up")]


def slot_states(board: VirtualBoard) -> list[str]:
    """States of both slots."""
    return [slot["state"] for slot in board.status()["slots"]]


def test_rollback_when_new_firmware_resets_unconfirmed(board: VirtualBoard) -> None:
    assert boot_new(board, "machine.reset()", 3) == ["old", "new", "old"]
    assert slot_states(board) == ["VALID", "ABORTED"]


def test_rollback_by_the_watchdog(board: VirtualBoard) -> None:
    assert boot_new(board, "machine.WDT(timeout=1000)\nraise ValueError('broken')", 3) == ["old", "new", "old"]


def test_rollback_by_deep_sleep(board: VirtualBoard) -> None:
    assert boot_new(board, "machine.deepsleep(50)", 3) == ["old", "new", "old"]


def test_confirmed_firmware_stays(board: VirtualBoard) -> None:
    new = "if machine.reset_cause() == 5:\n esp32.Partition.mark_app_valid_cancel_rollback()\n machine.deepsleep(20)"
    assert boot_new(board, new, 3) == ["old", "new", "new"]
    assert slot_states(board) == ["VALID", "VALID"]


def test_pending_until_confirmed(board: VirtualBoard) -> None:
    assert boot_new(board, "", 2) == ["old", "new"]
    assert slot_states(board) == ["VALID", "PENDING_VERIFY"]


def test_firmware_that_cannot_even_start(board: VirtualBoard) -> None:
    flash(board, OLD)
    image = bytearray(build_image("test", "1.1.0", {"main.py": b"", "pad": bytes(64)}))
    board.flash.write(0x190000, image)
    board.flash.flip(0x190000 + 0x120)  # the ROMFS's own header; then checksum and digest as if built so
    import hashlib

    body = bytearray(board.flash.read(0x190000, len(image) - 32))
    body[-1] ^= 1
    board.flash.write(0x190000, bytes(body) + hashlib.sha256(body).digest())
    board.start()
    events = until(board, lambda e: len(seen(e, "up")) >= 2)
    assert [e["slot"] for e in seen(events, "boot")][:3] == ["ota_0", "ota_1", "ota_0"]


def test_power_cut_and_power_on(board: VirtualBoard) -> None:
    flash(board, "import json, esp32\nn = esp32.NVS('fwtest')\nn.set_i32('x', 1)\nn.commit()\n" + say("2"))
    board.provision({"/formatted": b""})
    cuts = 0
    for phase in ("before", "mid", "bits", "after"):
        for operation in range(1, 20):
            board.flash.erase(0x9000, 0x4000)
            board.cut_at(operation, phase)
            board.start()
            ended = board.wait(10)
            board.stop()
            if ended == "idle":
                board.cut_at(None)
                break
            assert ended == "off" and seen(board.events(), "power_cut")
            cuts += 1
            board.start()
            assert board.wait(10) == "idle"
            board.stop()
            assert provision.read_nvs(board.flash, board.table, "fwtest", "x") == 1
    assert cuts == 4 * 5  # page header, namespace and value with a word of the bitmap each


def test_each_board_has_an_address_of_its_own(board: VirtualBoard) -> None:
    main = """
import json, network, time
w = network.WLAN()
w.active(True)
w.config(reconnects=1)
for ssid, key in (("nowhere", ""), ("other", "wrong"), ("other", "secret")):
    w.connect(ssid, key)
    time.sleep_ms(120)
    print(json.dumps({"event": "said", "what": [w.status(), w.ifconfig()[0]]}))
"""
    flash(board, main)
    board.start()
    events = until(board, lambda e: len(seen(e, "said")) == 3)
    none = "0.0.0.0"
    assert [e["what"] for e in seen(events, "said")] == [[201, none], [202, none], [1010, board.ip]]
    assert board.ip.startswith("127.") and board.ip != "127.0.0.1"


def test_the_hosts_files_are_hidden(board: VirtualBoard) -> None:
    flash(
        board,
        "import json, os\n" + say("sorted(os.listdir('/'))") + "f = open('/mine', 'w')\nf.write('x')\nf.close()\n",
    )
    board.provision({"/lib/thing.py": b"", "/boot.py": b"import json; print(json.dumps({'event': 'boot_py'}))"})
    board.start()
    events = until(board, lambda e: bool(seen(e, "said")))
    assert seen(events, "said")[0]["what"] == ["boot.py", "lib", "rom"]
    assert seen(events, "boot_py")
    board.wait(5)
    board.stop()
    assert provision.read_file(board.flash, board.table, "/mine") == b"x"
    assert board.flash.violations == 0


def test_main_py_on_littlefs_comes_before_the_images(board: VirtualBoard) -> None:
    flash(board, "import json\n" + say("'image'"))
    board.provision({"/main.py": ("import json\n" + say("'files'")).encode()})
    board.start()
    assert seen(until(board, lambda e: bool(seen(e, "said"))), "said")[0]["what"] == "files"


def test_the_heap_is_the_boards(board: VirtualBoard) -> None:
    flash(board, "import gc, json\ngc.collect()\n" + say("gc.mem_free()"))
    board.start()
    free = seen(until(board, lambda e: bool(seen(e, "said"))), "said")[0]["what"]
    heap = board.config["heap"]
    assert heap - 16 * 1024 < free <= heap  # the board's own modules do not count, littlefs does


def test_nothing_survives_the_supervisor(board: VirtualBoard) -> None:
    flash(board, "import json\n" + say("1") + "while True: pass")
    board.start()
    until(board, lambda e: bool(seen(e, "said")))
    pid = board.supervisor.pid
    board.stop()
    assert not Path(f"/proc/{pid}").exists()
