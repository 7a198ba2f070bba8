"""Multiplication of a point that is met once: wNAF over a small table of odd multiples."""

from os import urandom

from .comb import COLUMNS, Comb, columns
from .p256 import P, add, affine, double, double_add, random_scalar, secret_inverse

_RUN = 6  # doublings in one call
_SLICE = 10  # doublings after which to yield; an addition with its doubling counts as two


def naf(k: int, width: int) -> list:
    """Return k's non-zero digits in the width-`width` NAF, lowest first.

    They are odd, below 2^(width - 1) in magnitude, any two at least `width` positions apart.  Each
    is one small integer: 64 * position + 2 * (magnitude // 2) + (1 when negative).
    """
    out = []
    mask = (1 << width) - 1
    i = 0
    while k:
        d = k & mask
        if not d:
            k >>= width
            i += width * 64
            continue
        while not d & 1:
            d >>= 1
            k >>= 1
            i += 64
        d = k & mask
        k >>= width
        if d + d > mask:
            d = (mask - d) | 1
            k += 1
        else:
            d -= 1
        out.append(i + d)
        i += width * 64
    return out


def odd_multiples(X: int, Y: int, Z: int, count: int):
    """Generator: return [x ...], [y ...] of Q, 3Q, 5Q ... (`count`) for the Jacobian Q = (X, Y, Z).

    Co-Z additions of 2Q (Meloni 2007), then one inversion for all.
    """
    p = P
    xs = [0] * count
    ys = xs[:]
    zs = xs[:]  # each point's Z divided by the one before
    g = Y * Y % p
    u, v, Z = double(X, Y, Z, 1)
    X = 4 * X * g % p  # Q with the Z of 2Q
    Y = 8 * g * g % p
    w = n = 0
    while True:
        xs[n] = X << 0
        ys[n] = Y << 0
        zs[n] = w
        n += 1
        if n == count:
            break
        w = (X - u) % p
        a = w * w % p
        b = u * a % p
        c = X * a % p
        r = Y - v
        v = v * (c - b) % p
        X = (r * r - b - c) % p
        Y = (r * (b - X) - v) % p
        u = b
        Z = Z * w % p
    yield
    i = secret_inverse(Z, p)
    while n:
        n -= 1
        j = i * i % p
        xs[n] = xs[n] * j % p << 0
        ys[n] = ys[n] * (i * j % p) % p << 0
        i = i * zs[n] % p
    yield
    return xs, ys


def run(a: list, pa: tuple, b: list, pb: tuple, z: int):
    """Generator: return the Jacobian sum of two digit lists (see naf), which it empties; complete.

    pa and pb hold the digits' points, as lists of x and y.  A random z spreads the first point's
    coordinates.  Z = 0 is the infinite point.
    """
    p = P
    X = Y = Z = i = 0
    left = _SLICE
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
            y = -ys[y] if n & 1 else ys[y]
            n >>= 6
        m = i - n
        i = n
        if not Z:
            if y:
                X = z * z % p
                X, Y, Z = x * X % p, y * (X * z % p) % p, z
            continue
        if not m:
            X, Y, Z = add(X, Y, Z, x, y)
            left -= 1
            continue
        while m > 1:
            c = min(m - 1, _RUN)
            X, Y, Z = double(X, Y, Z, c)
            m -= c
            left -= c
            if left <= 0:
                left = _SLICE
                yield
        if y:  # else there is nothing left to add (no point has y = 0)
            q = double_add(X, Y, Z, (x,), (y,), 0, 1)
            # Z = 0: a doubling or a cancellation in between, which the short formulas lack
            X, Y, Z = q if q[2] else add(*double(X, Y, Z, 1), x, y)
        else:
            X, Y, Z = double(X, Y, Z, 1)
        left -= 2
        if left <= 0:
            left = _SLICE
            yield
    return X, Y, Z


def multiply(k: int, x: int, y: int):
    """Generator: return the affine point k * (x, y) for a secret k, 0 < k < n.

    k = a r + b with a random 32-bit r (Ciet and Joye 2003): a (r Q) + b Q, and a random Z.  Eight
    bits more in r cost 1.5 % more time.
    """
    r = int.from_bytes(urandom(4), "big") | 1 << 32
    a, b = divmod(k, r)
    one = ((x,), (y,))
    X, Y, Z = yield from run(naf(r, 2), one, [], one, random_scalar())
    table = yield from odd_multiples(X, Y, Z, 8)
    X, Y, Z = yield from run(naf(a, 5), table, naf(b, 2), one, random_scalar())
    return affine(X, Y, Z)


def multiply_add(u: int, g: Comb, v: int, x: int, y: int):
    """Generator: return Jacobian u * (g's point) + v * (x, y); all public, u and v < n.

    Complete: Z = 0 stands for the infinite point.
    """
    sums = yield from columns(((g.table, u),))
    table = yield from odd_multiples(x, y, 1, 8)
    last = COLUMNS - 1
    digits = [64 * i + 2 * (last - i) for i in range(COLUMNS)]
    return (yield from run(naf(v, 5), table, digits, sums, 1))
