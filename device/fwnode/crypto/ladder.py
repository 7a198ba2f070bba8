"""Multiplication of a point that is met once: wNAF over a small table of odd multiples."""

from os import urandom

from .comb import COLUMNS, Comb, columns
from .p256 import P, add, affine, double, double_add, inverse, random_scalar

_RUN = 6  # doublings between two yields, at most


def naf(k: int, width: int, points: list) -> list:
    """Return k times a point as events (position, x, y), lowest position first.

    The digits are those of the width-`width` NAF: odd, below 2^(width - 1) in magnitude, any two
    at least `width` positions apart; points[d // 2] is d times the point, affine.
    """
    events = []
    mask = (1 << width) - 1
    half = mask >> 1
    i = 0
    while k:
        d = k & mask
        if not d:
            k >>= width
            i += width
            continue
        while not d & 1:
            d >>= 1
            k >>= 1
            i += 1
        d = k & mask
        if d > half:
            d = mask - d
            x, y = points[d >> 1]
            events.append((i, x, P - y))
            k = (k >> width) + 1
        else:
            x, y = points[d >> 1]
            events.append((i, x, y))
            k >>= width
        i += width
    return events


def odd_multiples(X: int, Y: int, Z: int, count: int):
    """Generator: return [Q, 3Q, 5Q ...] (affine, `count` of them) of the Jacobian Q = (X, Y, Z).

    Co-Z additions of 2Q (Meloni 2007), then one inversion for all.
    """
    p = P
    g = Y * Y % p
    u, v, Z = double(X, Y, Z, 1)
    X = 4 * X * g % p  # Q with the Z of 2Q
    Y = 8 * g * g % p
    points = [(X, Y, 1)]
    while len(points) < count:
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
        points.append((X << 0, Y << 0, w))
    yield
    t = random_scalar() % p
    i = inverse(Z * t % p, p) * t % p
    for n in range(count - 1, -1, -1):
        X, Y, w = points[n]
        j = i * i % p
        points[n] = (X * j % p << 0, Y * (i * j % p) % p << 0)  # see comb.py
        i = i * w % p
    yield
    return points


def run(a: list, b: list, z: int):
    """Generator: return the Jacobian sum of two lists of events, which it empties; complete.

    A random z spreads the first point's coordinates.  Z = 0 is the infinite point.
    """
    p = P
    X = Y = Z = i = 0
    while a or b or i:
        n = x = y = 0
        if a or b:
            n, x, y = (a if not b or (a and a[-1][0] >= b[-1][0]) else b).pop()
        m = i - n
        i = n
        if not Z:
            if y:
                X = z * z % p
                X, Y, Z = x * X % p, y * (X * z % p) % p, z
            continue
        if not m:
            X, Y, Z = add(X, Y, Z, x, y)
            continue
        while m > 1:
            c = min(m - 1, _RUN)
            X, Y, Z = double(X, Y, Z, c)
            m -= c
            yield
        if y:  # else there is nothing left to add (no point has y = 0)
            q = double_add(X, Y, Z, (x,), (y,), 0, 1)
            # Z = 0: a doubling or a cancellation in between, which the short formulas lack
            X, Y, Z = q if q[2] else add(*double(X, Y, Z, 1), x, y)
        else:
            X, Y, Z = double(X, Y, Z, 1)
        yield
    return X, Y, Z


def multiply(k: int, x: int, y: int):
    """Generator: return the affine point k * (x, y) for a secret k, 0 < k < n.

    k = a r + b with a random 64-bit r (Ciet and Joye 2003): a (r Q) + b Q, and a random Z.
    """
    r = int.from_bytes(urandom(8), "big") | 1 << 63
    a, b = divmod(k, r)
    one = ((x, y),)
    X, Y, Z = yield from run(naf(r, 2, one), [], random_scalar() % P)
    table = yield from odd_multiples(X, Y, Z, 8)
    X, Y, Z = yield from run(naf(a, 5, table), naf(b, 2, one), random_scalar() % P)
    return affine(X, Y, Z)


def multiply_add(u: int, g: Comb, v: int, x: int, y: int):
    """Generator: return Jacobian u * (g's point) + v * (x, y); all public, u and v < n.

    Complete: Z = 0 stands for the infinite point.
    """
    xs, ys = yield from columns(((g.table, u),))
    table = yield from odd_multiples(x, y, 1, 8)
    xs.reverse()
    ys.reverse()
    return (yield from run(naf(v, 5, table), list(zip(range(COLUMNS), xs, ys)), 1))
