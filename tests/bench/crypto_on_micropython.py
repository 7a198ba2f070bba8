"""Time every operation of fwnode.crypto and print one JSON line; run by crypto.py.

micropython crypto_on_micropython.py FOLDER_OF_FWNODE FOLDER_OF_BENCH ROUNDS
"""

import gc
import json
import sys
import time
from os import urandom

sys.path[:0] = [sys.argv[1], sys.argv[2]]

import crypto_yardstick as yardstick  # noqa: E402, I001
from fwnode import crypto  # noqa: E402
from fwnode.crypto import comb, gcm, hpke, native, p256  # noqa: E402

ROUNDS = int(sys.argv[3])
MESSAGE = urandom(440)  # req_verchk with its certificate (zeros would make GHASH multiply by 0)
INFO = b"fwchain/1 res_verchk"


BATCH_US = 120000
NATIVE = ", native"
rows = []  # [name, function, its arguments, calls a batch, microseconds a call in the best batch, bytes of heap]


def row(name: str, function, *args) -> None:
    """Add an operation to measure."""
    rows.append([name, function, args, 0, 0, 0])


def now_us() -> int:
    """The processor time that this process has used, where the port has it: others run beside."""
    if hasattr(time, "clock"):
        return int(time.clock() * 1000000)  # steps of 1 ms
    return time.ticks_us()


def batch(line: list) -> None:
    """Call a row's function for about BATCH_US."""
    function, args, calls = line[1:4]
    if not calls:
        start = time.ticks_us()
        function(*args)
        calls = line[3] = max(1, BATCH_US // max(1, time.ticks_diff(time.ticks_us(), start)))
    gc.collect()
    start = now_us()
    for _ in range(calls):
        function(*args)
    cost = (now_us() - start) / calls
    line[4] = min(line[4] or cost, cost)


def fill(leave: int):
    """Allocate until `leave` bytes are free, in small pieces from the heap's low end."""
    filler = None
    for size in (64, 16):
        try:
            while gc.mem_free() > leave + size:
                filler = (bytearray(size), filler)
        except MemoryError:
            pass
    return filler


def heap_needed(function, args: tuple) -> int:
    """The least free heap, in bytes and to 256, in which a call passes."""
    low, high = 0, 64 * 1024
    while high - low > 256:
        middle = (low + high) // 2
        gc.collect()
        filler = fill(middle)
        try:
            function(*args)
            high = middle
        except MemoryError:
            low = middle
        filler = None  # noqa: F841
    gc.collect()
    return high


def new_public_key() -> None:
    """A key that the module has not seen, so that nothing comes from its memory."""
    crypto.public_key(crypto.generate_key())


def products() -> None:
    """100 products."""
    a = d
    b = x
    p = p256.P
    for _ in range(100):
        a * b % p


key = crypto.generate_key()
own = crypto.public_key(key)
other = crypto.generate_key()
new = crypto.public_key(other)
signed = crypto.sign(other, MESSAGE)
kept = crypto.public_key(key)
box = crypto.seal(own, INFO, MESSAGE, bytes(90))
metadata = crypto.seal(own, INFO, MESSAGE, bytes(1800))

x, y = p256.decode(new)
d = int.from_bytes(key, "big")
z = int.from_bytes(crypto.sha256(MESSAGE), "big")
r = int.from_bytes(signed[:32], "big")
s = int.from_bytes(signed[32:], "big")
assert yardstick.verify(x, y, z, r, s)
assert yardstick.multiply(d, x, y)[0].to_bytes(32, "big") == crypto.ecdh(key, new)

node = crypto.generate_key()
kept = crypto.public_key(node)
signed_kept = crypto.sign(node, MESSAGE)
gc.collect()
memory = gc.mem_alloc()
crypto.precompute(kept)
crypto.ecdh(key, kept)  # makes the blinding pair, which stays with the comb
gc.collect()
memory = gc.mem_alloc() - memory


def precompute_again() -> None:
    """Build the comb, without keeping it."""
    work = comb.build(x, y)
    try:
        while True:
            next(work)
    except StopIteration:
        pass


def encrypt(text: bytes) -> None:
    """One box's AES-128-GCM, a new key included."""
    gcm.Gcm(MESSAGE[:16]).seal(bytes(12), MESSAGE, text, memoryview(bytearray(len(text) + 16)))


row("yardstick multiply", yardstick.multiply, d, x, y)
row("yardstick verify", yardstick.verify, x, y, z, r, s)
row("public_key", new_public_key)
row("sign", crypto.sign, key, MESSAGE)
row("verify, precomputed", crypto.verify, kept, MESSAGE, signed_kept)
row("verify, new key", crypto.verify, new, MESSAGE, signed)
row("ecdh, precomputed", crypto.ecdh, key, kept)
row("ecdh, new key", crypto.ecdh, key, new)
row("seal, precomputed", crypto.seal, kept, INFO, MESSAGE, bytes(90))
row("seal, new key", crypto.seal, new, INFO, MESSAGE, bytes(90))
row("unseal", crypto.unseal, key, INFO, MESSAGE, box)
row("unseal, 1.8 KB", crypto.unseal, key, INFO, MESSAGE, metadata)
row("precompute", precompute_again)
row("AES-128-GCM, 440 + 90 bytes", encrypt, bytes(90))
row("AES-128-GCM, 440 + 1,800 bytes", encrypt, bytes(1800))
row("HPKE key schedule (HKDF)", hpke.key_schedule, bytes(32), own, own, INFO)
row("100 products, a * b % p", products)

gc.collect()
memory_native = gc.mem_alloc()
for n in range(2, len(rows) - 2):  # all but the yardstick, HKDF and the products
    name, function, args = rows[n][:3]
    row(name + NATIVE, function, *args)
has_native = native.enable()
native.disable()
gc.collect()
memory_native = gc.mem_alloc() - memory_native
if not has_native:
    rows = [line for line in rows if not line[0].endswith(NATIVE)]


def choose(name: str) -> None:
    """The plain code or the machine code for a row; the key that a board has, for unseal."""
    if name.endswith(NATIVE):
        native.enable()
    else:
        native.disable()
    if name.startswith("unseal"):
        crypto.public_key(key)


# Round by round, the best of each: a disturbance meets all of them alike, and seldom every round.
for _ in range(ROUNDS):
    for line in rows:
        choose(line[0])
        batch(line)
for line in rows:
    choose(line[0])
    line[5] = heap_needed(line[1], line[2])

out = [[line[0], line[4], line[5]] for line in rows]
print(json.dumps({"rows": out, "kept": memory, "native": memory_native, "free": gc.mem_free()}))
