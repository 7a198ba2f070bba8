"""The inner loops of the flash in plain Python: for CPython, and where MicroPython has no native code (see `fast`)."""

import struct

_BLANK = b"\xff" * 4096


def copy(target, source, at, n):
    """target[:n] = source[at:at + n]"""
    target[:n] = source[at : at + n]


def blank(mem, at, n):
    """mem[at:at + n] = all ones"""
    mem[at : at + n] = _BLANK[:n]


def clear(mem, at, data, start, n):
    """mem[at:at + n] &= data[start:start + n]; not 0 when data asks for a 1 over a 0"""
    wanted = memoryview(data)[start : start + n]
    if mem[at : at + n] == _BLANK[:n]:
        mem[at : at + n] = wanted
        return 0
    wrong = 0
    for i in range(n):
        value = mem[at + i] & wanted[i]
        wrong |= value ^ wanted[i]
        mem[at + i] = value
    return wrong


def bump(state, at):
    """Add 1 to the 32-bit counter at `at`."""
    value = struct.unpack_from("<I", state, at)[0] + 1
    struct.pack_into("<I", state, at, value & 0xFFFFFFFF)


def is_blank(mem, at, n):
    """Whether mem[at:at + n] is all ones."""
    return mem[at : at + n] == _BLANK[:n]


def same(mem, at, data, n):
    """Whether mem[at:at + n] == data[:n]."""
    return mem[at : at + n] == data[:n]
