"""Optional: GHASH in machine code that the board compiles for itself (viper); `native` takes it into use.

Four bits at a time (Shoup): the state is shifted right by four, what falls out is replaced from a
table of 16, and a nibble's multiple of the key is added, from another.  Numbers have 16 bits, so
nothing depends on the width of a machine word.
"""

from . import gcm

_LIMBS = 8
_MULTIPLES = 2 * _LIMBS  # bytes before the multiples of the key: the state
_REST = _MULTIPLES + 32 * _LIMBS  # bytes before what replaces the bits that fall out
_HEAD = """@micropython.viper
def ghash(memory, data, blocks: int):
 z = ptr16(memory)
 p = ptr8(data)
 e = ptr16(int(z) + 272)
 while blocks > 0:
  blocks -= 1
  i = 0
  while i < 8:
   z[i] = z[i] ^ (p[0] << 8 | p[1])
   p = ptr8(int(p) + 2)
   i += 1
"""

_execute = None
_plain = (gcm.powers, gcm.ghash, gcm._join)


def source() -> str:
    """Return the viper function: eight limbs of 16 bits, the first has x^0 as its highest bit."""
    out = [_HEAD]
    for j in range(_LIMBS):
        out.append("  a%d = 0\n" % j)
    out.append("  i = 7\n  while i >= 0:\n   w = z[i] | 1 << 16\n   while w > 1:\n    r = e[a7 & 15]\n")
    for j in range(_LIMBS - 1, 0, -1):
        out.append("    a%d = a%d >> 4 | (a%d & 15) << 12\n" % (j, j, j - 1))
    out.append("    a0 = (a0 >> 4) ^ r\n    m = ptr16(int(z) + 16 + ((w & 15) << 4))\n")
    for j in range(_LIMBS):
        out.append("    a%d = a%d ^ m[%d]\n" % (j, j, j))
    out.append("    w = w >> 4\n   i -= 1\n")
    for j in range(_LIMBS):
        out.append("  z[%d] = a%d\n" % (j, j))
    return "".join(out)


def _store(memory: bytearray, o: int, x: int) -> None:
    """Put 128 bits into eight limbs, as machines have them: the lower byte first."""
    for b in x.to_bytes(16, "big"):
        memory[o ^ 1] = b
        o += 1


def tables(key: bytes) -> bytearray:
    """Return the memory for a key of GHASH (16 bytes): state, multiples, replacements."""
    memory = bytearray(_REST + 32)
    x = int.from_bytes(key, "big")
    r = 0xE100  # x^128 = 1 + x + x^2 + x^7
    multiples = [0] * 16
    rest = [0] * 16
    n = 8
    while n:  # a nibble's highest bit is its lowest power of x
        for i in range(n, 16, 2 * n):
            for j in range(i, i + n):
                multiples[j] ^= x
        x = x >> 1 ^ (0xE1 << 120 if x & 1 else 0)
        n >>= 1
    for i in range(16):
        for k in range(4):
            if i >> k & 1:
                rest[i] ^= r >> 3 - k
        _store(memory, _MULTIPLES + 16 * i, multiples[i])
        memory[_REST + 2 * i] = rest[i] & 255
        memory[_REST + 2 * i + 1] = rest[i] >> 8
    return memory


def ghash(memory: bytearray, y: object, data: bytes) -> bytearray:
    """gcm.ghash: y is 0 to begin with, then the memory, which holds the state."""
    if not y:
        memory[:16] = bytes(16)
    n = len(data) >> 4
    _execute(memory, data, n)  # type: ignore[misc]
    rest = bytes(data[16 * n :])
    if rest:
        _execute(memory, rest + bytes(16 - len(rest)), 1)  # type: ignore[misc]
    return memory


def _join(memory: bytearray) -> bytes:
    """Return the state's block."""
    return bytes([memory[i ^ 1] for i in range(16)])


def use(code) -> bool:  # type: ignore[no-untyped-def]
    """Take the compiled function into use when it computes rightly; say whether it does."""
    global _execute
    _execute = code
    key = bytes(range(101, 117))
    data = bytes(range(0, 256, 5)) + b"\xff" * 9
    powers, hashed, join = _plain
    if _join(ghash(tables(key), 0, data)) != join(hashed(powers(key), 0, data)):
        return False
    gcm.powers, gcm.ghash, gcm._join = tables, ghash, _join
    return True


def drop() -> None:
    """Go back to the plain code."""
    gcm.powers, gcm.ghash, gcm._join = _plain
