"""The board's half of `chain.py`; runs on MicroPython (and on CPython) and prints one JSON line.

micropython chain_on_micropython.py FOLDER_OF_DEVICE FOLDER_OF_TESTS ROUNDS
"""

import gc
import hashlib
import json
import sys
import time

if hasattr(gc, "mem_free"):
    gc.threshold(16384)  # before anything is loaded: the heap stays in large pieces
sys.path[:0] = [sys.argv[1], sys.argv[2]]

from chain_parts import TIME, Network  # noqa: E402
from fwnode.chain.headers import FILE_SIZE, HeaderChain  # noqa: E402
from fwnode.chain.pow import SLICE, mine  # noqa: E402

try:
    ticks, diff = time.ticks_us, time.ticks_diff
except AttributeError:

    def ticks():
        return int(time.perf_counter() * 1e6)

    def diff(end, start):
        return end - start


HASHES = 64 * SLICE


def bare(header):
    """Microseconds of HASHES times sha256(header)."""
    sha256 = hashlib.sha256
    began = ticks()
    for _ in range(HASHES):
        sha256(header).digest()
    return diff(ticks(), began)


def proof_of_work(header):
    """(microseconds of HASHES of the proof of work, the longest slice's)."""
    work = mine(header, 0xFFFFFFFF)
    longest = 0
    began = ticks()
    for _ in range(HASHES // SLICE):
        at = ticks()
        next(work)
        longest = max(longest, diff(ticks(), at))
    return diff(ticks(), began), longest


class Flash:
    """A header chain's file in RAM."""

    def __init__(self):
        self.data = bytearray(FILE_SIZE)

    def readinto(self, offset, buffer):
        buffer[:] = self.data[offset : offset + len(buffer)]

    def write(self, offset, data):
        self.data[offset : offset + len(data)] = data

    def sync(self):
        pass


def slowest(work):
    """Run steps to their end: (their result, the longest one's microseconds)."""
    longest = 0
    while True:
        at = ticks()
        try:
            next(work)
        except StopIteration as end:
            return end.value, longest
        longest = max(longest, diff(ticks(), at))


def blocks():
    """Blocks of four logs verified in full, signed heads taken, both a second; microseconds of the longest step."""
    net = Network()
    links = [net.genesis.link()]
    made = []
    for n in range(4):
        made.append(net.by_board(20 + n, links[-1], [net.log(4 * n + k) for k in range(4)], TIME + 100 + n))
        links.append(net.link(made[-1], links[-1]))
    gc.collect()
    began = ticks()
    for n, data in enumerate(made):
        net.check(data, links[n])
    full = diff(ticks(), began)
    heads = [net.block(data).announcement() for data in made]
    chain = HeaderChain(Flash(), net.genesis)
    net.authority._known.clear()
    gc.collect()
    began = ticks()
    longest = []
    for head in heads:
        taken, step = slowest(chain.take([head], net.authority, None))
        assert taken
        longest.append(step)
    return 1e6 * len(made) / full, 1e6 * len(made) / diff(ticks(), began), sorted(longest)[len(longest) // 2]


def main(rounds):
    """Measure, the two loops by turns."""
    header = bytes(range(84)) + bytes(4)
    bare(header)
    rates, ratios, longest = [], [], []
    for _ in range(rounds):
        one = bare(header)
        two, slice_ = proof_of_work(header)
        rates.append((HASHES * 1e6 / one, HASHES * 1e6 / two))
        ratios.append(one / two)
        longest.append(slice_)
    middle = sorted(range(rounds), key=lambda n: ratios[n])[rounds // 2]
    full, heads, step = blocks()
    print(
        json.dumps(
            {
                "bare": rates[middle][0],
                "pow": rates[middle][1],
                "ratio": ratios[middle],
                "lowest": min(ratios),
                "slice_ms": sorted(longest)[rounds // 2] / 1000,
                "blocks": full,
                "heads": heads,
                "step_ms": step / 1000,
            }
        )
    )


main(int(sys.argv[3]))
