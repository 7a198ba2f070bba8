"""Multiplication of a point that is met once: wNAF over a small table of odd multiples."""

from os import urandom

from .comb import COLUMNS, Comb, columns
from .p256 import P, add, affine, double, inverse, random_scalar

_RUN = 6  # doublings between two yields, at most


def naf(k: int, width: int) -> list:
    """Return k's non-zero digits of the width-`width` NAF: (position, odd digit), highest first."""
    out = []
    top = 1 << width
    i = 0
    while k:
        s = 1
        while not k & s:
            s += s
            i += 1
        k //= s
        d = k & (top - 1)
        if d + d > top:
            d -= top
        out.append((i, d))
        k -= d
    out.reverse()
    return out


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
        points.append((X, Y, w))
    yield
    t = random_scalar() % p
    i = inverse(Z * t % p, p) * t % p
    for n in range(count - 1, -1, -1):
        X, Y, w = points[n]
        j = i * i % p
        points[n] = (X * j % p, Y * (i * j % p) % p)
        i = i * w % p
    yield
    return points


def run(X: int, Y: int, Z: int, events: list):
    """Generator: go down the events [(position, x, y)], highest first, to position 0.

    Between positions the point is doubled; at each, (x, y) is added.
    """
    i = events[0][0]
    left = _RUN
    for n, x, y in events:
        while i > n:
            m = min(i - n, left)
            X, Y, Z = double(X, Y, Z, m)
            i -= m
            left -= m
            if not left:
                left = _RUN
                yield
        if y:  # a y of 0 marks the end (no point of P-256 has it)
            X, Y, Z = add(X, Y, Z, x, y)
    return X, Y, Z


def _stream(k: int, width: int, points: list) -> list:
    """Return the events of k times the point whose odd multiples are given."""
    events = []
    for i, d in naf(k, width):
        x, y = points[abs(d) >> 1]
        events.append((i, x, y if d > 0 else P - y))
    return events


def _merge(events: list) -> list:
    """Return events ordered by position, highest first, with an end mark at position 0."""
    events.sort(key=lambda e: -e[0])
    events.append((0, 0, 0))
    return events


def multiply(k: int, x: int, y: int):
    """Generator: return the affine point k * (x, y) for a secret k, 0 < k < n.

    k = a r + b with a random 64-bit r (Ciet and Joye 2003): a (r Q) + b Q, and a random Z.
    """
    r = int.from_bytes(urandom(8), "big") | 1 << 63
    a, b = divmod(k, r)
    one = [(x, y)]
    z = random_scalar() % P
    zz = z * z % P
    first = _merge(_stream(r, 2, one))
    X, Y, Z = yield from run(1, 1, 0, first)
    X, Y, Z = X * zz % P, Y * (zz * z % P) % P, Z * z % P
    table = yield from odd_multiples(X, Y, Z, 8)
    events = _merge(_stream(a, 5, table) + _stream(b, 2, one))
    X, Y, Z = yield from run(1, 1, 0, events)
    return affine(X, Y, Z)


def multiply_add(u: int, g: Comb, v: int, x: int, y: int):
    """Generator: return Jacobian u * (g's point) + v * (x, y); all public, u and v < n.

    Complete: Z = 0 stands for the infinite point.
    """
    xs: list = []
    ys: list = []
    yield from columns(((g.table, u),), xs, ys)
    events = [(COLUMNS - 1 - c, xs[c], ys[c]) for c in range(COLUMNS)]
    if v:
        table = yield from odd_multiples(x, y, 1, 8)
        events += _stream(v, 5, table)
    return (yield from run(1, 1, 0, _merge(events)))
