"""The yardstick: textbook double-and-add in Jacobian coordinates on P-256, every product reduced.

Guide to Elliptic Curve Cryptography (2004), algorithms 3.27, 3.21 and 3.22, with Fermat's inverse
in C (``pow``), and Shamir's trick for a verify.  For the benchmark only.
"""

from fwnode.crypto.p256 import GX, GY, N, P


def double(X: int, Y: int, Z: int) -> tuple:
    """Algorithm 3.21, for a = -3."""
    if not Z:
        return X, Y, Z
    d = Z * Z % P
    g = Y * Y % P
    b = X * g % P
    a = 3 * (X - d) * (X + d) % P
    x = (a * a % P - 8 * b) % P
    return x, (a * (4 * b - x) % P - 8 * (g * g % P)) % P, 2 * Y * Z % P


def add(X: int, Y: int, Z: int, x: int, y: int) -> tuple:
    """Algorithm 3.22: Jacobian and affine."""
    if not Z:
        return x, y, 1
    zz = Z * Z % P
    h = (x * zz % P - X) % P
    r = (y * (zz * Z % P) % P - Y) % P
    if not h:
        return (1, 1, 0) if r else double(X, Y, Z)
    hh = h * h % P
    hhh = hh * h % P
    v = X * hh % P
    t = (r * r % P - hhh - 2 * v) % P
    return t, (r * (v - t) % P - Y * hhh % P) % P, Z * h % P


def affine(X: int, Y: int, Z: int) -> tuple:
    """Divide by Z."""
    i = pow(Z, P - 2, P)
    ii = i * i % P
    return X * ii % P, Y * (ii * i % P) % P


def multiply(k: int, x: int, y: int) -> tuple:
    """Algorithm 3.27: left to right, binary."""
    q = (1, 1, 0)
    for i in range(255, -1, -1):
        q = double(*q)
        if k >> i & 1:
            q = add(*q, x, y)
    return affine(*q)


def verify(x: int, y: int, z: int, r: int, s: int) -> bool:
    """ECDSA (algorithm 4.30), both multiplications interleaved (Shamir's trick)."""
    w = pow(s, N - 2, N)
    u = z * w % N
    v = r * w % N
    both = affine(*add(x, y, 1, GX, GY))
    points = (None, (GX, GY), (x, y), both)
    q = (1, 1, 0)
    for i in range(255, -1, -1):
        q = double(*q)
        j = (u >> i & 1) | (v >> i & 1) << 1
        if j:
            q = add(*q, *points[j])
    return affine(*q)[0] % N == r
