"""The inner loops of the flash in native code, so that reading flash costs the board no heap: a real board's is C.

Only where MicroPython's native emitter knows the processor (x86-64); elsewhere, and on CPython, the import fails and
`flash` does the same in plain Python.
"""

import micropython


@micropython.viper
def copy(target, source, at: int, n: int):
    """target[:n] = source[at:at + n]"""
    to = ptr8(target)  # noqa: F821 viper's own word
    of = ptr8(source)  # noqa: F821
    i = 0
    if not at & 3:
        to4 = ptr32(target)  # noqa: F821
        of4 = ptr32(source)  # noqa: F821
        base = at >> 2
        words = n >> 2
        while i < words:
            to4[i] = of4[base + i]
            i += 1
        i = words << 2
    while i < n:
        to[i] = of[at + i]
        i += 1


@micropython.viper
def blank(mem, at: int, n: int):
    """mem[at:at + n] = all ones; whole words, as sectors and halves of them are"""
    to = ptr32(mem)  # noqa: F821
    i = at >> 2
    end = (at + n) >> 2
    while i < end:
        to[i] = -1
        i += 1


@micropython.viper
def clear(mem, at: int, data, start: int, n: int) -> int:
    """mem[at:at + n] &= data[start:start + n]; not 0 when data asks for a 1 over a 0"""
    to = ptr8(mem)  # noqa: F821
    of = ptr8(data)  # noqa: F821
    wrong = 0
    i = 0
    while i < n:
        wanted = of[start + i]
        value = to[at + i] & wanted
        wrong |= value ^ wanted
        to[at + i] = value
        i += 1
    return wrong


@micropython.viper
def clear_pages(mem, at: int, data, start: int, n: int) -> int:
    """As `clear`, by words: the number of 256-byte pages for which data asks for a 1 over a 0."""
    to = ptr32(mem)  # noqa: F821
    of = ptr32(data)  # noqa: F821
    base = at >> 2
    first = start >> 2
    words = n >> 2
    bad = 0
    wrong = 0
    i = 0
    while i < words:
        wanted = of[first + i]
        value = to[base + i] & wanted
        wrong |= value ^ wanted
        to[base + i] = value
        i += 1
        if i == words or not (base + i) & 63:
            if wrong:
                bad += 1
            wrong = 0
    return bad


@micropython.viper
def add(state, at: int, count: int):
    """Add to the 32-bit counter at `at`."""
    to = ptr32(state)  # noqa: F821
    to[at >> 2] = to[at >> 2] + count


@micropython.viper
def is_blank(mem, at: int, n: int) -> bool:
    """Whether mem[at:at + n] is all ones."""
    of = ptr8(mem)  # noqa: F821
    end = at + n
    while at < end:
        if of[at] != 0xFF:
            return False
        at += 1
    return True


@micropython.viper
def same(mem, at: int, data, n: int) -> bool:
    """Whether mem[at:at + n] == data[:n]."""
    a = ptr8(mem)  # noqa: F821
    b = ptr8(data)  # noqa: F821
    i = 0
    while i < n:
        if a[at + i] != b[i]:
            return False
        i += 1
    return True
