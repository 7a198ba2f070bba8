"""The board by itself: identity, memory, storage, arithmetic."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hil_board import Board

MODULES = Path(__file__).parents[1] / "device"  # tests that run on the board itself

VECTOR_KEY = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"  # RFC 6979, A.2.5
VECTOR_R = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
STAGES = (
    *("fwnode.errors", "fwnode.wire.message", "fwnode.crypto", "fwnode.trust.root"),
    *("fwnode.update.boot", "fwnode.roles.request", "fwnode.node"),
)
VECTOR_S = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"


def test_identity(board: Board, figure: Any) -> None:
    """esptool and MicroPython name the same chip and MAC; MicroPython is 1.25 or later."""
    out = board.esptool.run("flash-id", after="hard-reset")
    board.settle()
    mac = re.search(r"MAC:\s+([0-9a-f:]{17})", out)
    assert mac
    facts = board.ask(
        "[list(sys.implementation[1][:3]), binascii.hexlify(machine.unique_id()).decode(), what]",
        "import sys, machine, binascii\nwhat = getattr(sys.implementation, '_machine', sys.platform)",
    )
    assert facts[0] >= [1, 25]
    assert facts[1] == mac[1].replace(":", "")
    figure("MicroPython", ".".join(map(str, facts[0])))
    figure("machine", facts[2])


def test_free_heap(board: Board, figure: Any) -> None:
    """There is room for fwnode: at least 110 KB, as stock MicroPython leaves with Wi-Fi off."""
    free = board.ask("gc.mem_free()", "import gc\ngc.collect()")
    figure("free heap at the prompt, bytes", free)
    assert free > 110_000


def test_layout(board: Board) -> None:
    """The partitions that MicroPython sees are those of the table in the flash, two slots among them."""
    table = board.table()
    table.check_ota(board.kind.flash_size)
    seen = board.ask(
        "[list(p.info()) for t in (0, 1) for p in Partition.find(t)]",
        "from esp32 import Partition",
    )
    found = {row[4]: row[2:4] for row in seen}
    for part in table:
        assert found[part.name] == [part.offset, part.size]


def test_chunked_verifier_against_the_hosts(board: Board, figure: Any) -> None:
    """H(fv), hashed on the board by chunks over the image's exact length, is what the host computes."""
    before = (
        "import time, binascii\nfrom fwnode.compat import run\nfrom fwnode.update.slots import Slots\n"
        "from fwnode.update.verify import verifier_steps\n"
        "slot = Slots().running\nstart = time.ticks_ms()\nh = run(verifier_steps(slot, slot.image_length))\n"
    )
    answer = board.ask(
        "[slot.address, slot.image_length, binascii.hexlify(h).decode(), time.ticks_diff(time.ticks_ms(), start)]",
        before,
    )
    address, length, verifier, ms = answer
    assert hashlib.sha256(board.read(address, length)).hexdigest() == verifier
    figure(f"verifier of {length} bytes, ms", ms)


def test_nvs_survives_a_reset(board: Board) -> None:
    """What was committed is there after the reset line was pulled; what was not is not."""
    board.run(
        "from esp32 import NVS\nn = NVS('hil')\nn.set_i32('kept', 4711)\nn.set_blob('blob', b'bytes')\nn.commit()\n"
    )
    board.reset()
    value = board.ask(
        "[n.get_i32('kept'), n.get_blob('blob', b), b.decode()]",
        "from esp32 import NVS\nn = NVS('hil')\nb = bytearray(5)",
    )
    assert value == [4711, 5, "bytes"]
    missing = board.ask(
        "code",
        "from esp32 import NVS\ntry:\n    NVS('hil').get_i32('none')\nexcept OSError as e:\n    code = e.args[0]",
    )
    assert missing == -0x1102
    board.run("from esp32 import NVS\nn = NVS('hil')\nn.erase_key('kept')\nn.erase_key('blob')\nn.commit()\n")


def test_files_survive_a_reset(board: Board) -> None:
    board.run("f = open('/hil.txt', 'w')\nf.write('kept')\nf.close()\n")
    board.reset()
    assert board.ask("open('/hil.txt').read()") == "kept"
    board.run("import os\nos.remove('/hil.txt')\n")


@pytest.mark.parametrize("name", ["machine", "network", "nvs", "partition"])
def test_documented_behaviour(board: Board, name: str) -> None:
    """esp32.Partition, esp32.NVS, machine and network.WLAN do and refuse what their documentation says."""
    code = f"import on_board_{name} as m\n"
    if name == "network":
        ssid, key = board.needs_wifi()
        code += f"m.SSID = {ssid!r}\nm.KEY = {key!r}\n"
    out = board.run_mounted(MODULES, code + f"import on_board\non_board.run('on_board_{name}')")
    rows = [json.loads(line) for line in out.splitlines() if line.startswith('{"')]
    failed = [row for row in rows if row.get("error")]
    assert not failed, "\n".join(f"{row['test']}\n{row['error']}" for row in failed)
    assert rows and rows[-1]["event"] == "tests_done"
    assert len(rows) > 5


CAUSES = [
    ("machine.reset()", "HARD_RESET", "SOFT_RESET"),
    ("machine.deepsleep(1000)", "DEEPSLEEP_RESET"),
    ("machine.WDT(timeout=1500)\nwhile True: pass", "WDT_RESET"),
]


@pytest.mark.parametrize(("code", "causes"), [(code, causes) for code, *causes in CAUSES])
def test_resets_and_their_causes(board: Board, code: str, causes: list[str]) -> None:
    """What resets the board is what `reset_cause` tells after it; a watchdog bites a program that hangs."""
    board.leave(f"import time, machine\ntime.sleep_ms(3000)\n{code}")  # time to listen
    with board.listening() as console:
        console.wait_text(b"rst:", 30)
    time.sleep(1)  # a Ctrl-C that comes before the prompt is lost on a real board
    told = board.after_reset(f"[m.reset_cause() == getattr(m, n) for n in {causes!r}]", "import machine as m")
    assert any(told)
    board.reset()


def test_crypto_vector_and_times(board: Board, figure: Any) -> None:
    """ECDSA of RFC 6979 (P-256, SHA-256, "sample"), signed and verified on the board, and how long it takes."""
    before = (
        "import time, binascii\nfrom fwnode import crypto\nfrom fwnode.compat import run\n"
        "from fwnode.crypto import steps\n"
        f"key = binascii.unhexlify('{VECTOR_KEY}')\n"
        "t0 = time.ticks_ms()\npublic = run(steps.public_key(key))\n"
        "t1 = time.ticks_ms()\nsignature = run(steps.sign(key, b'sample'))\n"
        "t2 = time.ticks_ms()\ngood = run(steps.verify(public, b'sample', signature))\n"
        "t3 = time.ticks_ms()\nbad = run(steps.verify(public, b'simple', signature))\nd = time.ticks_diff\n"
    )
    expression = (
        "[binascii.hexlify(signature).decode().upper(), bool(good), bool(bad), d(t1, t0), d(t2, t1), d(t3, t2)]"
    )
    signature, good, bad, made, signed, verified = board.ask(expression, before, timeout=180)
    assert signature == VECTOR_R + VECTOR_S
    assert good
    assert not bad
    figure("P-256 public key, ms", made)
    figure("P-256 sign, ms", signed)
    figure("P-256 verify, ms", verified)


def test_heap_at_each_stage(board: Board, figure: Any) -> None:
    """What each part of fwnode takes of the heap, in the order in which a board loads them."""
    code = "import gc, json\nrows = []\ndef note(name):\n    gc.collect()\n    rows.append([name, gc.mem_alloc()])\n"
    for name in (
        "",
        "fwnode.errors",
        "fwnode.wire.message",
        "fwnode.crypto",
        "fwnode.trust.root",
        "fwnode.update.boot",
    ):
        code += f"import {name}\nnote('{name}')\n" if name else "note('nothing')\n"
    for name in ("fwnode.roles.request", "fwnode.node"):
        code += f"import {name}\nnote('{name}')\n"
    rows = board.ask("rows", code)
    for name, used in rows:
        figure(f"heap in use with {name}, bytes", used)
    assert [used for _, used in rows] == sorted(used for _, used in rows)
