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


def clear_pages(mem, at, data, start, n):
    """As `clear`: the number of 256-byte pages for which data asks for a 1 over a 0."""
    bad = 0
    done = 0
    while done < n:
        size = min(n - done, 256 - (at + done) % 256)
        if clear(mem, at + done, data, start + done, size):
            bad += 1
        done += size
    return bad


def add(state, at, count):
    """Add to the 32-bit counter at `at`."""
    value = struct.unpack_from("<I", state, at)[0] + count
    struct.pack_into("<I", state, at, value & 0xFFFFFFFF)


def is_blank(mem, at, n):
    """Whether mem[at:at + n] is all ones."""
    return mem[at : at + n] == _BLANK[:n]


def same(mem, at, data, n):
    """Whether mem[at:at + n] == data[:n]."""
    return mem[at : at + n] == data[:n]
