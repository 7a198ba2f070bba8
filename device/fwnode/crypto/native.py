"""Optional: the curve's field in machine code that the board compiles for itself (viper).

``enable()`` takes it into use where it is safe, else leaves the plain code, which always works.

A field element is 21 limbs of 13 bits, in Montgomery form (R = 2^273).  A product of two limbs has
26 bits and 21 of them, with what reduction adds, stay below 2^31: nothing depends on the width of
a machine word (32 bits on an ESP32, 64 on a PC), and the test proves that for the worst limbs.
Since p = -1 mod 2^96, the Montgomery multiplier is the lowest limb itself, and adding m * p is four
shifts.  17 bits of room above p let sums and differences go unreduced.

The function is generated here, since its 21 columns unrolled would be a long file, and compiled at
run time, since machine code in a .mpy file would fit one kind of chip.  It runs a small program:
four bytes an operation, so that a point doubling is one call and takes no heap.
"""

from sys import implementation

from . import comb, ladder, p256
from .p256 import P

LIMBS = 21
_SIZE = 2 * LIMBS  # bytes of a slot
_R = 13 * LIMBS
_SLOTS = "kKXYZxyabdghrstuvwzRSTq10"
# - takes what is below 2^260 (the results of * and their small sums), ~ below 2^262; < makes limbs
# of bytes
_OPS = "*+-~<"

# Each operation: slot of the result, slot, operation, slot; see p256 for the formulas.
_DOUBLE = (
    "dZ*Z gY*Y bX*g tX-d uX+d at*u ua+a au+a ZY*Z ZZ+Z bb+b bb+b Xa*a ub+b XX-u tb~X Ya*t gg*g gg+g gg+g gg+g YY-g "
)
_FIRST = "zZ*Z hx*z hh~X rZ*z ry*r rr~Y zh*h vX*z zz*h sY*z "  # what both additions begin with
_DOUBLE_ADD = _FIRST + (
    "wr*r uv+v uu+v uu+z ww-u rr*w rr+s rr+s zw*w vv*z zz*w Xr*r uv+v uu+z XX-u tX-v Yr*t ss*z YY-s ZZ*h ZZ*w "
)
_ADD = _FIRST + "Xr*r uv+v uu+z XX-u tv~X Yr*t YY-s ZZ*h "
_ENTER = "xR<R yS<S xx*q yy*q "
_NEGATE = "y0-y "
_SET = "XR<R YS<S ZT<T XX*q YY*q ZZ*q "
_LEAVE = "XX*1 YY*1 ZZ*1 "
TEXTS = (
    _DOUBLE,
    _ENTER + _NEGATE + _ADD,
    _ENTER + _ADD,
    _ENTER + _NEGATE + _DOUBLE_ADD,
    _ENTER + _DOUBLE_ADD,
    _SET,
    _LEAVE,
)
# In a slot of bytes 0 to 36 (the last is the lowest) the number stands in the last 32.
_RAW = _SIZE * _SLOTS.find("R") + 5
_HEAD = """@micropython.viper
def execute(memory, program, size: int, times: int):
 o = int(ptr16(memory))
 f = ptr8(program)
 while times > 0:
  times -= 1
  n = 0
  while n < size:
   r = ptr16(o + f[n + 1] * 42)
   q = ptr16(o + f[n + 2] * 42)
   w = ptr16(o + f[n + 3] * 42)
   k = f[n]
   n += 4
   i = 0
   if k == 0:
"""
_TAIL = """   elif k == 4:
    v = ptr8(int(q))
    while i < 273:
     x = 36 - (i >> 3)
     r[0] = ((v[x] | v[x - 1] << 8 | v[x - 2] << 16) >> (i & 7)) & 8191
     r = ptr16(int(r) + 2)
     i += 13
   else:
    x = 0
    s = 1
    u = ptr16(o)
    if k > 1:
     s = -1
    if k == 3:
     u = ptr16(o + 42)
    while i < 21:
     x = x + q[i] + s * w[i]
     if k > 1:
      x = x + u[i]
     r[i] = x & 8191
     x = x >> 13
     i += 1
"""

# Before 1.26 the assembler for Xtensa (ESP32, S3) prints a line when a branch is too far, as three
# here are, and goes on with a wrong one: running that would end in a crash, which nothing catches.
_OLDEST = (1, 26)

_execute = None
_programs: tuple = ()
_idle: list = []  # workspaces, at most two
_plain = (comb.sums, comb.multiply_add, comb.run, ladder.run, comb.double)


def source() -> str:
    """Return the viper function: product scanning by rows, reduction and shift in the same pass."""
    out = [_HEAD]
    for j in range(LIMBS):
        out.append("    t%d = 0\n" % j)
    out.append("    while i < 21:\n     c = q[i]\n     x = t0 + c * w[0]\n     m = x & 8191\n")
    # m * (2^256 - 2^224 + 2^192 + 2^96 - 1), one limb lower; x - m is a multiple of 2^13
    more = {1: "(x >> 13)", 7: "(m << 5)", 14: "(m << 10)", 17: "(0 - (m << 3))", 19: "(m << 9)"}
    for j in range(1, LIMBS):
        out.append("     t%d = t%d + c * w[%d] + %s\n" % (j - 1, j, j, more.get(j, "0")))
    out.append("     t20 = 0\n     i += 1\n")
    for j in range(LIMBS - 1):
        out.append("    r[%d] = t%d & 8191\n    t%d = t%d + (t%d >> 13)\n" % (j, j, j + 1, j + 1, j))
    out.append("    r[20] = t20\n")
    return "".join(out).replace(" + 0\n", "\n") + _TAIL


def assemble(text: str) -> bytes:
    """Return a program's bytes: operation, result, first, second."""
    out = bytearray()
    for s in text.split():
        out.append(_OPS.find(s[2]))
        for i in (0, 1, 3):
            out.append(_SLOTS.find(s[i]))
    return bytes(out)


def store(memory: bytearray, slot: str, x: int) -> None:
    """Put an integer into a slot as it is."""
    o = _SIZE * _SLOTS.find(slot)
    for i in range(o, o + _SIZE, 2):
        memory[i] = x & 255
        memory[i + 1] = x >> 8 & 31
        x >>= 13


def load(memory: bytearray, slot: str) -> int:
    """Return a slot's integer."""
    o = _SIZE * _SLOTS.find(slot)
    x = 0
    for i in range(o + _SIZE - 2, o - 2, -2):
        x = x << 13 | memory[i] | memory[i + 1] << 8
    return x


def workspace(X: int, Y: int, Z: int) -> bytearray:
    """Return the memory of one computation, its point (X, Y, Z)."""
    if _idle:
        memory = _idle.pop()
    else:
        memory = bytearray(_SIZE * len(_SLOTS))
        # 32 p and 128 p keep differences positive: every limb but the last is lent 2^13 by the next
        for slot, k in (("k", 32 * P), ("K", 128 * P)):
            o = _SIZE * _SLOTS.find(slot)
            store(memory, slot, k)
            for i in range(LIMBS):
                v = memory[o] | memory[o + 1] << 8
                v += (8192 if i < LIMBS - 1 else 0) - (1 if i else 0)
                memory[o] = v & 255
                memory[o + 1] = v >> 8
                o += 2
        store(memory, "q", (1 << 2 * _R) % P)
        store(memory, "1", 1)
    o = _RAW
    for x in (X, Y, Z):
        memory[o : o + 32] = (x % P).to_bytes(32, "big")
        o += _SIZE
    run(memory, 5, 1)
    return memory


def run(memory: bytearray, program: int, times: int) -> None:
    """Run a program of TEXTS."""
    _execute(memory, _programs[program], len(_programs[program]), times)


def step(memory: bytearray, x: int, y: int, twice: bool) -> None:
    """Add (x, y), after a doubling when `twice`; as short as p256.double_add, not complete."""
    memory[_RAW : _RAW + 32] = x.to_bytes(32, "big")
    memory[_RAW + _SIZE : _RAW + _SIZE + 32] = (y % P).to_bytes(32, "big")
    run(memory, 4 if twice else 2, 1)


def leave(memory: bytearray) -> tuple:
    """Return X, Y, Z as integers, and the workspace to the idle ones."""
    run(memory, 6, 1)
    if len(_idle) < 2:
        _idle.append(memory)
    return load(memory, "X") % P, load(memory, "Y") % P, load(memory, "Z") % P


def _columns(memory: bytearray, jobs: tuple):
    """Generator: for each column double the point, and add each job's two entries to it.

    The blinding start, or in multiply_add the first point, makes it never the infinite point.
    """
    rows = [comb.digits(k) for _, k in jobs]
    twice = 2 if memory else 0  # without a start, column 0 has nothing to double
    for c in range(comb.COLUMNS):
        for j in range(len(jobs)):
            table = jobs[j][0]
            for block in (0, 1):
                e = rows[j][block][c]
                o = comb.OFFSETS[e] + 1024 * block
                if not memory:
                    x = int.from_bytes(table[o : o + 32], "big")
                    y = int.from_bytes(table[o + 32 : o + 64], "big")
                    memory = workspace(x, y if e > 15 else P - y, 1)
                else:
                    memory[_RAW : _RAW + 32] = table[o : o + 32]
                    memory[_RAW + _SIZE : _RAW + _SIZE + 32] = table[o + 32 : o + 64]
                    run(memory, 1 + (e > 15) + twice, 1)
                twice = 0
        twice = 2
        if c & 1:
            yield
    return leave(memory)


def _sums(starts: list, jobs: tuple):
    """Generator: comb.sums, without the plain code's shared inversion: additions cost less here."""
    out = []
    for start, job in zip(starts, jobs):
        out.append((yield from _columns(workspace(*start), (job,))))
    return out


def _multiply_add(u: int, g: comb.Comb, v: int, q: comb.Comb):
    """Generator: comb.multiply_add."""
    return (yield from _columns(bytearray(), ((g.table, u), (q.table, v))))


def _comb_run(X: int, Y: int, Z: int, xs: list, ys: list, i: int, j: int):
    """Generator: comb.run."""
    memory = workspace(X, Y, Z)
    while i < j:
        step(memory, xs[i], ys[i], True)
        i += 1
        if not i & 3:
            yield
    return leave(memory)


def _double(X: int, Y: int, Z: int, n: int) -> tuple:
    """comb.double, for the runs of a table's teeth; a few doublings are not worth the way there and back."""
    if n < 4:
        return p256.double(X, Y, Z, n)
    memory = workspace(X, Y, Z)
    run(memory, 0, n)
    return leave(memory)


def _ladder_run(a: list, pa: tuple, b: list, pb: tuple, z: int):
    """Generator: ladder.run."""
    memory = bytearray()
    again = a[:], b[:]
    i = 0
    while a or b or i:
        n = x = y = 0
        if a or b:
            if not b or (a and a[-1] >= b[-1]):
                n = a.pop()
                xs, ys = pa
            else:
                n = b.pop()
                xs, ys = pb
            y = n >> 1 & 31
            x = xs[y]
            y = P - ys[y] if n & 1 else ys[y]
            n >>= 6
        m = i - n
        i = n
        if not memory:
            zz = z * z % P
            memory = workspace(x * zz, y * (zz * z % P), z)
            continue
        twice = m > 0
        if y:
            m -= 1
        while m > 0:
            c = min(m, 8)
            run(memory, 0, c)
            m -= c
            yield
        if y:  # else there is nothing to add at the end (no point has y = 0)
            step(memory, x, y, twice)
            yield
    q = leave(memory) if memory else (0, 0, 0)
    if not q[2]:  # an exceptional case on the way, or the infinite point: the plain code knows
        q = yield from _plain[3](again[0], pa, again[1], pb, z)
    return q


def _is_right() -> bool:
    """Compare every program with the plain code, on random numbers."""
    for _ in range(8):
        X, Y, Z, x, y = [p256.random_scalar() for _ in range(5)]
        memory = workspace(X, Y, Z)
        run(memory, 0, 3)
        step(memory, x, y, True)
        step(memory, y, x, False)
        run(memory, 3, 1)
        run(memory, 1, 1)
        X, Y, Z = p256.double(X, Y, Z, 3)
        X, Y, Z = p256.double_add(X, Y, Z, (x,), (y,), 0, 1)
        X, Y, Z = p256.add(X, Y, Z, y, x)
        X, Y, Z = p256.double_add(X, Y, Z, (y,), (P - x,), 0, 1)
        if leave(memory) != p256.add(X, Y, Z, y, P - x):
            return False
    return True


def enable() -> bool:
    """Use machine code when this board can make it and it computes rightly; say whether it does."""
    global _execute, _programs
    if implementation.version[:2] < _OLDEST:
        return False
    try:
        import micropython

        from . import nativegcm

        scope = {"micropython": micropython}
        exec(source(), scope)
        exec(nativegcm.source(), scope)
    except (ImportError, SyntaxError, MemoryError, NameError, RuntimeError):
        return False  # RuntimeError: the assembler's "native method too big", or a branch too far
    _execute = scope["execute"]
    _programs = tuple([assemble(text) for text in TEXTS])
    if not _is_right() or not nativegcm.use(scope["ghash"]):
        return False
    comb.sums = _sums
    comb.multiply_add = _multiply_add
    comb.run = _comb_run
    ladder.run = _ladder_run
    comb.double = _double
    return True


def disable() -> None:
    """Go back to the plain code."""
    from . import nativegcm

    nativegcm.drop()
    comb.sums, comb.multiply_add, comb.run, ladder.run, comb.double = _plain
    _idle.clear()
