"""Combs: multiples of a point that is used often, from a table of 2 KiB.

A signed comb (Hamburg 2012; Lim and Lee 1994) of two blocks, five teeth, 26 columns: the scalar is
written with 260 digits of +-1; digit 26 * (5 * block + tooth) + column.  A block's table holds its
highest tooth plus or minus the other four, 16 affine points of 64 bytes, so an entry is never the
infinite point and every scalar takes the same 26 steps.  The two points of a column are added in
affine coordinates, all columns sharing one inversion.

``x << 0`` on what is kept in lists copies the integer into 64 bytes of heap: a fresh ``a * b % p``
holds on to 128, room for the product.
"""

from os import urandom

from .p256 import N, P, add, double, double_add, inverse, random_scalar, secret_inverse

COLUMNS = 26
TABLE = 2048  # bytes: 2 blocks of 16 points of x and y, 32 bytes each, big-endian
_SLICE = 4  # columns between two yields
_ZEROS = 0x30 * 31 * int.from_bytes(b"\1" * COLUMNS, "big")  # the ASCII zeros of five rows


def digits(k: int) -> tuple:
    """Return two byte strings of 26 entry numbers, highest column first, for 0 <= k < n.

    Entry 16..31 is a table point, 15..0 the negative of point 0..15.
    """
    if not k & 1:
        k += N  # the digits +-1 make odd numbers only
    # digit +-1 is bit 1, 0 of (k + 2^260 - 1) / 2; above that a 1, to keep the zeros in front
    s = bin((k >> 1) + (3 << 259))[3:].encode()
    rows = []
    for block in (130, 0):
        t = 0
        for o in range(block, block + 130, COLUMNS):
            t = t * 2 + int.from_bytes(s[o : o + COLUMNS], "big")
        rows.append((t - _ZEROS).to_bytes(COLUMNS, "big"))
    return tuple(rows)


# where entry 0..31 stands in its block's table
OFFSETS = tuple([64 * (15 - e if e < 16 else e - 16) for e in range(32)])


def _entry_scalar(e: int) -> int:
    """Return the scalar of entry e of block 0."""
    k = 0
    for j in range(5):
        k += (1 if e >> j & 1 else -1) << COLUMNS * j
    return k


class Comb:
    """The table of one point, and a secret multiple (b, b * point) that blinds the next scalar.

    The pair changes with every use: b' = 2b + a random entry's scalar.
    """

    def __init__(self, table: bytes) -> None:
        self.table = table
        self.pair = b""  # b, X, Y, Z, 32 bytes each: integers would take twice the heap

    def next_blind(self):
        """Generator: renew the blinding pair and return it: b, b * point (Jacobian).

        The first time takes a whole multiplication.  The caller keeps what is returned: another
        task may have renewed the pair before the caller is done.
        """
        if not self.pair:
            Z = 0
            while not Z:  # one b in 512 begins with two columns alike or opposite: double_add cannot
                b = random_scalar()
                xs, ys = yield from columns(((self.table, b),))
                z = random_scalar()
                zz = z * z % P
                X = xs[0] * zz % P
                Y = ys[0] * (zz * z % P) % P
                X, Y, Z = yield from run(X, Y, z, xs, ys, 1, COLUMNS)
        else:
            e = urandom(1)[0] & 31
            b, X, Y, Z = _numbers(self.pair)
            o = OFFSETS[e]
            x, y = _numbers(self.table[o : o + 64])
            X, Y, Z = double_add(X, Y, Z, (x,), (y if e > 15 else -y,), 0, 1)
            b = (2 * b + _entry_scalar(e)) % N
        self.pair = b"".join([n.to_bytes(32, "big") for n in (b, X, Y, Z)])
        return b, (X, Y, Z)


def _numbers(data: bytes) -> list:
    """Return the integers of 32 bytes each."""
    return [int.from_bytes(data[o : o + 32], "big") for o in range(0, len(data), 32)]


def run(X: int, Y: int, Z: int, xs: list, ys: list, i: int, j: int):
    """Generator: double_add over columns i .. j-1, yielding between slices."""
    while i < j:
        m = min(i + _SLICE, j)
        X, Y, Z = double_add(X, Y, Z, xs, ys, i, m)
        i = m
        yield
    return X, Y, Z


def columns(jobs: tuple):
    """Generator: return two lists, x and y of each job's 26 column points; a job: (table, scalar).

    Two table points a column, summed with one inversion for all (Montgomery's trick).  No sum
    within one comb is exceptional: no two entries of a comb have the same scalar mod n up to sign.
    """
    p = P
    get = int.from_bytes
    n = 0
    # Whole from the start: a list that grows needs ever larger holes in a small heap.
    xs = [0] * (COLUMNS * len(jobs))  # first the products before each column, then x
    ys = xs[:]
    # A random start hides from Euclid's running time what is inverted.
    acc = random_scalar() % p
    rows = []
    for t, k in jobs:
        row = digits(k)
        rows.append(row)
        for c in range(COLUMNS):
            xs[n] = acc << 0
            n += 1
            i = OFFSETS[row[0][c]]
            j = OFFSETS[row[1][c]] + 1024
            acc = acc * (get(t[j : j + 32], "big") - get(t[i : i + 32], "big")) % p
        yield
    acc = inverse(acc, p)
    yield
    while n:
        c = (n - 1) % COLUMNS
        t = jobs[(n - 1) // COLUMNS][0]
        row = rows[(n - 1) // COLUMNS]
        e = row[0][c]
        i = OFFSETS[e]
        x = get(t[i : i + 32], "big")
        y = get(t[i + 32 : i + 64], "big")
        if e < 16:
            y = -y
        e = row[1][c]
        i = OFFSETS[e] + 1024
        u = get(t[i : i + 32], "big")
        v = get(t[i + 32 : i + 64], "big")
        n -= 1
        v = (v - y if e > 15 else -v - y) * acc % p * xs[n] % p
        acc = acc * (u - x) % p
        u = (v * v - x - u) % p
        xs[n] = u << 0
        ys[n] = (v * (x - u) - y) % p << 0
        if not c:
            yield
    return xs, ys


def sums(starts: list, jobs: tuple):
    """Generator: return, for each job (table, k), Jacobian 2^26 * start + k * (its point)."""
    o = 0
    xs, ys = yield from columns(jobs)
    out = []
    for start in starts:
        out.append((yield from run(*start, xs, ys, o, o + COLUMNS)))
        o += COLUMNS
    return out


def multiply(k: int, combs: tuple):
    """Generator: return [(x, y), ...], k times each comb's point; k is secret, 0 < k < n.

    The scalar is blinded by each comb's own pair: k P = (k - 2^26 b) P + 2^26 (b P), where the
    second term costs nothing, being what the accumulator starts from.
    """
    p = P
    jobs = []
    starts = []
    for c in combs:
        b, start = yield from c.next_blind()
        starts.append(start)
        jobs.append((c.table, (k - (b << COLUMNS)) % N))
    out = yield from sums(starts, tuple(jobs))
    i = 1
    for q in out:
        i = i * q[2] % p
    i = secret_inverse(i, p)
    if len(out) == 1:
        zs = (i,)
    else:
        zs = (i * out[1][2] % p, i * out[0][2] % p)
    yield
    res = []
    for (X, Y, _), i in zip(out, zs):
        j = i * i % p
        res.append((X * j % p, Y * (i * j % p) % p))
    return res


def multiply_add(u: int, g: Comb, v: int, q: Comb):
    """Generator: return Jacobian u * (g's point) + v * (q's point); public scalars below n.

    Z = 0 says that an exceptional case was met: ask ladder.multiply_add then.
    """
    p = P
    xs, ys = yield from columns(((g.table, u), (q.table, v)))
    acc = 1
    pre = [0] * COLUMNS
    for c in range(COLUMNS):
        pre[c] = acc << 0
        acc = acc * (xs[c + COLUMNS] - xs[c]) % p
    if not acc:
        return 0, 0, 0
    acc = inverse(acc, p)
    yield
    for c in range(COLUMNS - 1, -1, -1):
        u = xs.pop()
        v = ys.pop()
        x = xs[c]
        t = acc * pre[c] % p * (v - ys[c]) % p
        acc = acc * (u - x) % p
        xs[c] = (t * t - x - u) % p << 0
        ys[c] = (t * (x - xs[c]) - ys[c]) % p << 0
    yield
    return (yield from run(xs[0], ys[0], 1, xs, ys, 1, COLUMNS))


def build(x: int, y: int):
    """Generator: return the table (a bytearray) of the affine point (x, y), which is public."""
    p = P
    table = bytearray(TABLE)  # first, while the heap still has so large a hole
    X, Y, Z = x, y, 1
    for block in (0, 1024):
        teeth = []
        while len(teeth) < 5:
            if teeth or block:
                for m in (6, 10, 10):
                    X, Y, Z = double(X, Y, Z, m)
                    yield
            teeth.append((X, Y, Z))
        # twice the lower teeth: from an entry to one whose digit is +1 where this one's is -1
        points = teeth + [double(*q, 1) for q in teeth[:4]]
        _normalise(points)
        yield
        q = points[4] + (1,)
        for x, y in points[:4]:
            q = add(*q, x, p - y)
        entries = [q]
        for j in range(5, 9):
            for e in range(len(entries)):
                entries.append(add(*entries[e], *points[j]))
            yield
        _normalise(entries)
        for x, y in entries:
            table[block : block + 64] = x.to_bytes(32, "big") + y.to_bytes(32, "big")
            block += 64
        yield
    return table


def _normalise(points: list) -> None:
    """Make a list of (public) Jacobian points affine in place, with one inversion."""
    p = P
    acc = 1
    pre = []
    for q in points:
        pre.append(acc << 0)
        acc = acc * q[2] % p
    acc = inverse(acc, p)
    for n in range(len(points) - 1, -1, -1):
        X, Y, Z = points[n]
        i = acc * pre.pop() % p
        acc = acc * Z % p
        j = i * i % p
        points[n] = (X * j % p << 0, Y * (i * j % p) % p << 0)
