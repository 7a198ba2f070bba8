"""NVS: the format against Espressif's own generator, the API's errors, and power cuts at every
flash operation.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fwchain.board.flash import Flash, PowerCut
from fwchain.board.runtime.vb import flash as nor
from fwchain.board.runtime.vb import nvspages
from fwchain.board.runtime.vb.nvs import Nvs
from fwchain.board.runtime.vb.nvspages import NvsError

OFFSET, SIZE = 0x9000, 0x4000


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Flash]:
    """A small erased flash with room for NVS."""
    with Flash.create(tmp_path / "flash.bin", 0x10000) as flash:
        yield flash


def load(flash: Flash) -> Nvs:
    """NVS as it is after a reboot."""
    return Nvs(flash.nor, OFFSET, SIZE)


def blob(nvs: Nvs, ns: int, key: str) -> bytes:
    """A blob's bytes."""
    buf = bytearray(nvs.blob_size(ns, key))
    assert nvs.get_blob(ns, key, buf) == len(buf)
    return bytes(buf)


def code(function: Callable[[], object]) -> int:
    """ESP-IDF's number of the error that `function` raises."""
    with pytest.raises(NvsError) as caught:
        function()
    return int(caught.value.args[0])


def generate(folder: Path) -> None:
    """Run Espressif's generator on in.csv; it writes out.bin."""
    pytest.importorskip("esp_idf_nvs_partition_gen", reason="needs esp-idf-nvs-partition-gen")
    tool = [sys.executable, "-m", "esp_idf_nvs_partition_gen", "generate"]
    files = [str(folder / "in.csv"), str(folder / "out.bin"), hex(SIZE)]
    subprocess.run(tool + files, check=True, capture_output=True, timeout=60)


def test_values_live_through_a_reboot(flash: Flash) -> None:
    nvs = load(flash)
    ns = nvs.open("fwchain")
    nvs.set_i32(ns, "floor", -7)
    nvs.set_blob(ns, "key", bytes(range(70)))
    nvs.set_blob(ns, "empty", b"")
    nvs = load(flash)
    ns = nvs.open("fwchain")
    assert nvs.get_i32(ns, "floor") == -7
    assert blob(nvs, ns, "key") == bytes(range(70))
    assert blob(nvs, ns, "empty") == b""
    assert nvs.namespaces() == {"fwchain": 1}
    assert nvs.open("other") == 2
    assert flash.violations == 0


def test_errors_are_esp_idfs(flash: Flash) -> None:
    nvs = load(flash)
    ns = nvs.open("fwchain")
    nvs.set_i32(ns, "number", 1)
    nvs.set_blob(ns, "blob", b"123")
    assert code(lambda: nvs.get_i32(ns, "none")) == 0x1102
    assert code(lambda: nvs.get_blob(ns, "none", bytearray(4))) == 0x1102
    assert code(lambda: nvs.get_i32(ns, "blob")) == 0x1103
    assert code(lambda: nvs.get_blob(ns, "number", bytearray(4))) == 0x1103
    assert code(lambda: nvs.get_blob(ns, "blob", bytearray(2))) == 0x110C
    assert code(lambda: nvs.set_i32(ns, "a" * 16, 1)) == 0x1109
    assert code(lambda: nvs.open("a" * 16)) == 0x1109
    assert code(lambda: nvs.erase_key(ns, "none")) == 0x1102
    assert code(lambda: nvs.set_blob(ns, "big", bytes(20000))) == 0x110E
    assert code(lambda: nvs.set_blob(ns, "big", bytes(11900))) == 0x1105
    assert blob(load(flash), ns, "blob") == b"123"


def test_equal_value_is_not_written_again(flash: Flash) -> None:
    nvs = load(flash)
    ns = nvs.open("fwchain")
    nvs.set_i32(ns, "number", 1)
    nvs.set_blob(ns, "blob", b"123")
    before = flash.operations
    nvs.set_i32(ns, "number", 1)
    nvs.set_blob(ns, "blob", b"123")
    assert flash.operations == before


def test_type_may_change(flash: Flash) -> None:
    nvs = load(flash)
    ns = nvs.open("fwchain")
    nvs.set_blob(ns, "x", b"abc" * 50)
    nvs.set_i32(ns, "x", 5)
    assert load(flash).get_i32(ns, "x") == 5
    nvs.set_blob(ns, "x", b"z")
    assert blob(load(flash), ns, "x") == b"z"
    assert [i[3] for i in nvs.items() if i[2] == ns] == [nvspages.BLOB_DATA, nvspages.BLOB_INDEX]


def test_pages_are_reclaimed(flash: Flash) -> None:
    nvs = load(flash)
    ns = nvs.open("fwchain")
    nvs.set_blob(ns, "keep", b"k" * 1000)
    rng = random.Random(5)
    for i in range(3000):
        nvs.set_i32(ns, f"n{i % 7}", i)
        if i % 10 == 0:
            nvs.set_blob(ns, "b", rng.randbytes(rng.randrange(600)))
    nvs = load(flash)
    assert blob(nvs, ns, "keep") == b"k" * 1000
    assert [nvs.get_i32(ns, f"n{i}") for i in range(7)] == [
        2996,
        2997,
        2998,
        2999,
        2993,
        2994,
        2995,
    ]
    erases = flash.wear()[0][OFFSET // 4096 : (OFFSET + SIZE) // 4096]
    assert erases[0] == 0  # what never changes stays where it is, as in ESP-IDF
    assert min(erases[1:]) > 5 and max(erases) - min(erases[1:]) <= 1  # the rest is levelled
    assert flash.violations == 0


def test_reads_what_espressifs_generator_writes(flash: Flash, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(5000)
    (tmp_path / "blob").write_bytes(data)
    (tmp_path / "in.csv").write_text(
        "key,type,encoding,value\nfwchain,namespace,,\nfloor,data,i32,-12345\n"
        f"key,file,binary,{tmp_path / 'blob'}\nother,namespace,,\nfloor,data,i32,2\n"
        "small,data,hex2bin,00010203\n"
    )
    generate(tmp_path)
    flash.program(OFFSET, (tmp_path / "out.bin").read_bytes())
    before = flash.operations
    nvs = load(flash)
    assert flash.operations == before  # nothing in it needs repair
    assert nvs.namespaces() == {"fwchain": 1, "other": 2}
    assert nvs.get_i32(1, "floor") == -12345 and nvs.get_i32(2, "floor") == 2
    assert blob(nvs, 1, "key") == data
    assert blob(nvs, 2, "small") == b"\0\1\2\3"
    nvs.set_blob(1, "key", b"new")
    assert blob(load(flash), 1, "key") == b"new"


def test_writes_what_espressifs_generator_writes(flash: Flash, tmp_path: Path) -> None:
    """Byte for byte, for values written once."""
    (tmp_path / "in.csv").write_text(
        f"key,type,encoding,value\nfwchain,namespace,,\nfloor,data,i32,77\nblob,data,hex2bin,{'0123456789' * 10}\n"
    )
    generate(tmp_path)
    nvs = load(flash)
    ns = nvs.open("fwchain")
    nvs.set_i32(ns, "floor", 77)
    nvs.set_blob(ns, "blob", bytes.fromhex("0123456789" * 10))
    assert flash.read(OFFSET, SIZE) == (tmp_path / "out.bin").read_bytes()


def test_garbage_in_the_partition(flash: Flash) -> None:
    rng = random.Random(3)
    for _ in range(50):
        flash.erase(OFFSET, SIZE)
        nvs = load(flash)
        ns = nvs.open("fwchain")
        nvs.set_i32(ns, "a", 1)
        nvs.set_blob(ns, "b", bytes(200))
        for _ in range(rng.randrange(1, 20)):
            flash.flip(OFFSET + rng.randrange(600), 1 << rng.randrange(8))
        nvs = load(flash)
        ns = nvs.open("fwchain")
        nvs.set_i32(ns, "a", 2)
        assert load(flash).get_i32(ns, "a") == 2


def _change(nvs: Nvs, step: int) -> None:
    """The `step`-th of a series of writes that turns and reclaims pages."""
    if step % 3 == 0:
        nvs.set_blob(1, "blob", bytes((step,)) * 900)
    else:
        nvs.set_i32(1, "number", step)


@pytest.mark.parametrize("phase", range(4), ids=nor.PHASES)
def test_power_cut_at_every_operation(flash: Flash, phase: int) -> None:
    """After a cut each value is the old or the new one, and NVS takes writes again."""
    nvs = load(flash)
    nvs.open("fwchain")
    nvs.set_blob(1, "blob", bytes((255,)) * 900)
    nvs.set_i32(1, "number", 0)
    nvs.set_blob(1, "secret", bytes(range(32)))
    number, filled, cuts = 0, 255, 0
    for step in range(30):
        start = bytes(flash.mem)
        operation = 0
        while True:  # the step again and again from the same flash, cut one operation later
            operation += 1
            flash.mem[:] = start
            nvs = load(flash)
            flash.cut_at(operation, phase)
            try:
                _change(nvs, step)
                flash.cut_at(None)
                break
            except PowerCut:
                cuts += 1
            nvs = load(flash)
            assert blob(nvs, 1, "secret") == bytes(range(32))
            got = blob(nvs, 1, "blob")
            assert len(got) == 900 and got[0] in (filled, step) and got == got[:1] * 900
            assert nvs.get_i32(1, "number") in (number, step)
            _change(nvs, step)  # it takes the write now
            _change(load(flash), step)
            if step % 3 == 0:
                assert blob(load(flash), 1, "blob") == bytes((step,)) * 900
            else:
                assert load(flash).get_i32(1, "number") == step
        if step % 3 == 0:
            filled = step
        else:
            number = step
    assert cuts > 200


@pytest.mark.parametrize("phase", range(4), ids=nor.PHASES)
def test_power_cut_during_the_repair(flash: Flash, phase: int) -> None:
    """Loading repairs with flash operations of its own; power may fail again there, and again."""
    nvs = load(flash)
    nvs.open("fwchain")
    nvs.set_blob(1, "secret", bytes(range(32)))
    for step in range(30):
        _change(nvs, step)
    rng = random.Random(phase)
    for step in range(30, 150):
        flash.cut_at(rng.randrange(1, 60), phase)
        try:
            _change(load(flash), step)
            flash.cut_at(None)
        except PowerCut:
            for _ in range(4):
                flash.cut_at(rng.randrange(1, 5), phase)
                try:
                    load(flash)
                except PowerCut:
                    continue
        flash.cut_at(None)
        assert blob(load(flash), 1, "secret") == bytes(range(32))
