"""Curves in plain code, driven to their end: what their tests share."""

from fwnode.crypto import p256


def ended(work):
    """Run a generator to its end; return its result and how often it yielded."""
    n = 0
    try:
        while True:
            assert next(work) is None
            n += 1
    except StopIteration as e:
        return e.value, n


def octets(n):
    return n.to_bytes(32, "big")


def slow(k, x, y):
    """k * (x, y) by double-and-add with the complete addition."""
    q = (1, 1, 0)
    for i in range(255, -1, -1):
        if q[2]:
            q = p256.double(*q, 1)
        if k >> i & 1:
            q = p256.add(*q, x, y)
    return p256.affine(*q)
