"""Published vectors as lines that one small script checks, on MicroPython or on CPython.

A line is ``operation argument ... expected``: bytes in hex ("-" when empty), True, False, None, or
the name of the exception.  The script prints one line a failure, then the count a operation.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import cryptography_vectors

ROOT = Path(__file__).parent.parent.parent
VECTORS = Path(cryptography_vectors.__file__).parent
HEAP = "192k"

# What runs on both: the board's own code ("pure"), or the face of this interpreter ("face").
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from binascii import hexlify, unhexlify
from fwnode.crypto import InvalidBox, InvalidKey, hmac_sha256, sha256
if sys.argv[3] == "pure":
    from fwnode.crypto import pure as steps
else:
    from fwnode.crypto import steps
from fwnode.crypto import pure
from fwnode.crypto.gcm import Gcm
from fwnode.crypto.hmac import expand
from fwnode.crypto.p256 import encode, decode

def end(work):
    try:
        while True:
            next(work)
    except StopIteration as e:
        return e.value

def number(b):
    return int.from_bytes(b, "big")

def monte(seed):
    # SHAVS 6.4: one round of 1,000
    a = b = c = seed
    for _ in range(1000):
        a, b, c = b, c, sha256(a + b + c)
    return c

def gcm_seal(key, iv, aad, pt):
    box = bytearray(len(pt) + 16)
    Gcm(key).seal(iv, aad, pt, memoryview(box))
    return box

OPERATIONS = {
    "sha256": sha256,
    "monte": monte,
    "hmac": hmac_sha256,
    "hmac_half": lambda key, m: hmac_sha256(key, m)[:16],
    "extract": hmac_sha256,
    "expand": lambda prk, info, n: expand(prk, info, number(n)),
    "gcm_seal": lambda key, iv, aad, pt, n: gcm_seal(key, iv, aad, pt)[: len(pt) + number(n)],
    "gcm_open": lambda key, iv, aad, box, n: Gcm(key).open(iv, aad, box, number(n)),
    "point": lambda public: encode(*decode(public)),
    "public_key": lambda d: end(steps.public_key(d)),
    "sign": lambda d, m: end(steps.sign(d, m)),
    "verify": lambda q, m, s: end(steps.verify(q, m, s)),
    "verify_digest": lambda q, h, s: end(pure.verify_digest(q, h, s)),
    "ecdh": lambda d, q: end(steps.ecdh(d, q)),
    "is_public_key": lambda d, q: end(steps.public_key(d)) == q,
    "is_secret": lambda d, q, z: end(steps.ecdh(d, q)) == z,
    "seal": lambda e, q, info, aad, pt: end(pure.seal_with(number(e), q, info, aad, pt)),
    "unseal": lambda d, info, aad, box: end(steps.unseal(d, info, aad, box)),
    "precompute": lambda q: end(steps.precompute(q)),
    "box": lambda d, q, info, aad, pt: end(
        steps.unseal(d, info, aad, end(steps.seal(q, info, aad, pt)))),
}

def show(value):
    if isinstance(value, (bytes, bytearray)):
        return hexlify(value).decode() or "-"
    return str(value)

counts = {}
with open(sys.argv[2]) as lines:
    for number_of, line in enumerate(lines):
        op, *args = line.split()
        expected = args.pop()
        args = [b"" if a == "-" else unhexlify(a) for a in args]
        try:
            got = show(OPERATIONS[op](*args))
        except (InvalidKey, InvalidBox) as e:
            got = type(e).__name__
        if got != expected:
            print("FAIL line", number_of + 1, op, "expected", expected, "got", got)
        counts[op] = counts.get(op, 0) + 1
for op in counts:
    print("COUNT", op, counts[op])
"""


def micropython() -> list[str]:
    """The interpreter's command, with a board's heap."""
    return [str(Path(sys.executable).with_name("micropython")), "-X", f"heapsize={HEAP}"]


def check(tmp_path: Path, lines: Iterable[str], mode: str = "micropython") -> Counter[str]:
    """Check lines on MicroPython, or on CPython by mode "pure" or "face"; return the counts."""
    lines = list(lines)
    script, data = tmp_path / "check.py", tmp_path / "vectors.txt"
    script.write_text(SCRIPT)
    data.write_text("".join(line + "\n" for line in lines))
    command = micropython() if mode == "micropython" else [sys.executable]
    how = "face" if mode == "face" else "pure"
    done = subprocess.run(
        [*command, str(script), str(ROOT / "device"), str(data), how],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    failures = [row for row in done.stdout.splitlines() if row.startswith("FAIL")]
    assert not failures, "\n".join(failures[:20])
    counts: Counter[str] = Counter()
    for row in done.stdout.splitlines():
        _, op, count = row.split()
        counts[op] = int(count)
    assert sum(counts.values()) == len(lines)
    return counts


def line(op: str, *args: bytes | str | bool | None) -> str:
    """One line of a vector file."""
    return " ".join([op, *(a.hex() or "-" if isinstance(a, bytes) else str(a) for a in args)])


def cavp(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The records of a CAVP file as (section headers joined, fields); a record ends at a blank."""
    section: list[str] = []
    fields: dict[str, str] = {}
    fresh = True
    for text in [*(VECTORS / path).read_text().splitlines(), ""]:
        text = text.strip()
        if text.startswith("["):
            section = [*([] if fresh else section), text]
            fresh = False
            continue
        if text and not text.startswith("#"):
            key, _, value = text.partition("=")
            fields[key.strip()] = value.strip()
        elif not text and fields:
            yield "".join(section), fields
            fields, fresh = {}, True


def point(x: str, y: str) -> bytes:
    """An uncompressed key of two coordinates in hex, however large."""
    return b"\4" + bytes.fromhex(x.rjust(64, "0")) + bytes.fromhex(y.rjust(64, "0"))


def gcm_lines(encrypt: str, decrypt: str) -> Iterator[tuple[bool, str]]:
    """AES-GCM vectors: whether the IV has 96 bits and the tag 128, and the line."""
    for path in (encrypt, decrypt):
        for section, f in cavp("ciphers/AES/GCM/" + path):
            usual = "[IVlen = 96]" in section and "[Taglen = 128]" in section
            key, iv, aad, ct, tag = (bytes.fromhex(f[k]) for k in ("Key", "IV", "AAD", "CT", "Tag"))
            size = bytes([len(tag)])
            if path == encrypt:
                yield usual, line("gcm_seal", key, iv, aad, bytes.fromhex(f["PT"]), size, ct + tag)
            else:
                pt = bytes.fromhex(f["PT"]) if "PT" in f else None
                yield usual, line("gcm_open", key, iv, aad, ct + tag, size, pt)


def signature(r: str, s: str) -> bytes:
    """r || s of two numbers in hex."""
    return bytes.fromhex(r.rjust(64, "0")) + bytes.fromhex(s.rjust(64, "0"))


def hash_of(section: str) -> str:
    """hashlib's name of the hash that a CAVP section names; SHA-1 in FIPS 186-2."""
    found = re.search(r"SHA-(\d+)", section)
    return "sha" + (found.group(1) if found else "1")
