"""The few things that MicroPython and CPython spell differently."""

import asyncio
import gc
import os
import sys
import time

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from micropython import const

    _TYPING = const(0)  # a branch that only a type checker reads; the compiler leaves it out

    if _TYPING:
        from collections.abc import Callable

    ticks_ms: "Callable[[], int]" = time.ticks_ms  # type: ignore[assignment]
    ticks_diff: "Callable[[int, int], int]" = time.ticks_diff
    ticks_add: "Callable[[int, int], int]" = time.ticks_add  # type: ignore[assignment]
else:

    def const(value):  # type: ignore[no-untyped-def]
        """MicroPython's compile-time constant; here the value itself."""
        return value

    def ticks_ms() -> int:
        """A clock in milliseconds that never goes back."""
        return int(time.monotonic() * 1000)

    def ticks_diff(end: int, start: int) -> int:
        """Milliseconds from `start` to `end`."""
        return end - start

    def ticks_add(start: int, ms: int) -> int:
        """The tick `ms` milliseconds after `start`."""
        return start + ms


def random_int(bits: int) -> int:
    """A random integer of at most `bits` bits, from the hardware generator."""
    size = (bits + 7) // 8
    return int.from_bytes(os.urandom(size), "big") >> (8 * size - bits)


def randbelow(limit: int) -> int:
    """A random integer in [0, limit); the bias of 64 spare bits is far below notice."""
    return random_int(64 + 32) % limit


def tidy(threshold: int = 16384) -> None:
    """Collect now, and from now on after every `threshold` bytes (2048 while modules are loaded, which then lie close
    together; 16384 costs 4 % of the time).
    """
    gc.collect()
    if MICROPYTHON:
        gc.threshold(threshold)


def room(words: int) -> bool:
    """Whether the heap has so many machine words free, after a collection; there always is room on CPython."""
    if not MICROPYTHON:
        return True
    gc.collect()
    return gc.mem_free() >= words * (8 if sys.maxsize >> 32 else 4)  # type: ignore[attr-defined,no-any-return]


def forget(*prefixes: str) -> None:
    """Let go of loaded modules whose names start so: a board has no room for what it needs once an hour.

    Objects that still refer to a module keep it. On CPython nothing is forgotten: there is room. It needs next to
    nothing itself: an exhausted heap has no room for a list of names.
    """
    if not MICROPYTHON:
        return
    for _ in range(3):  # what has gone makes room for the rest
        gc.collect()
        try:
            for name in sys.modules:  # MicroPython's dictionaries may lose entries meanwhile
                if name.startswith(prefixes):
                    parent, _, last = name.rpartition(".")
                    if parent in sys.modules and hasattr(sys.modules[parent], last):
                        delattr(sys.modules[parent], last)
                    del sys.modules[name]
            break
        except MemoryError:
            pass
    tidy()


def run(steps):  # type: ignore[no-untyped-def]
    """Drive a generator of steps to its end without giving way, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


async def drive(steps):  # type: ignore[no-untyped-def]
    """Run steps to their end and return their result; the event loop gets its turn after each."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        await asyncio.sleep(0)
