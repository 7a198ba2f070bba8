"""P-256 point arithmetic on Python integers (FIPS 186-4 D.1.2.3, SEC 1).

Affine points are ``(x, y)``, Jacobian points ``(X, Y, Z)`` with x = X/Z^2, y = Y/Z^3.  What costs
time here is ``%`` (about two products), so sums of products are reduced once.  Nothing runs in
constant time; see docs/crypto.md.
"""

from os import urandom

from .errors import InvalidKey

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5


def inverse(a: int, m: int) -> int:
    """Return 1/a mod m by Euclid; a must be prime to m.  Not for a bare secret: blind it first."""
    r = m
    s = a % m
    t = 0
    u = 1
    while s > 1:
        q, r = divmod(r, s)
        t += q * u
        if r < 2:
            return m - t
        q, s = divmod(s, r)
        u += q * t
    return u


def random_scalar() -> int:
    """Return a random integer, uniform from 1 to n-1 (FIPS 186-4 B.4.2)."""
    while True:
        k = int.from_bytes(urandom(32), "big")
        if 0 < k < N:
            return k


def secret_inverse(a: int, m: int) -> int:
    """Return 1/a mod m, with the argument of Euclid's algorithm made random."""
    t = random_scalar()
    return inverse(a * t % m, m) * t % m


def scalar(private: bytes) -> int:
    """Return the private key's integer d, 0 < d < n; else raise InvalidKey."""
    if len(private) != 32:
        raise InvalidKey("private key: expected 32 bytes, got %d" % len(private))
    d = int.from_bytes(private, "big")
    if not 0 < d < N:
        raise InvalidKey("private key: out of range")
    return d


def decode(public: bytes) -> tuple:
    """Return the affine point of an uncompressed public key; raise InvalidKey when it is none.

    SEC 1 section 3.2.2.1: length, prefix, range and curve equation (the cofactor is 1).
    """
    if len(public) != 65 or public[0] != 4:
        raise InvalidKey("public key: expected 65 bytes that begin with 04")
    x = int.from_bytes(public[1:33], "big")
    y = int.from_bytes(public[33:], "big")
    if x >= P or y >= P or (y * y - (x * x - 3) * x - B) % P:
        raise InvalidKey("public key: not a point of P-256")
    return x, y


def encode(x: int, y: int) -> bytes:
    """Return the uncompressed encoding (65 bytes) of an affine point."""
    return b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def affine(X: int, Y: int, Z: int) -> tuple:
    """Return the affine point of a Jacobian one with Z != 0; Z may be secret."""
    i = secret_inverse(Z, P)
    j = i * i % P
    return X * j % P, Y * (i * j % P) % P


def double(X: int, Y: int, Z: int, n: int) -> tuple:
    """Return 2^n times a Jacobian point: 8 products and 7 reductions each (dbl-2001-b)."""
    p = P
    while n:
        d = Z * Z % p
        g = Y * Y % p
        b = X * g % p
        a = 3 * (X - d) * (X + d) % p
        Z = 2 * Y * Z % p
        b *= 4
        X = (a * a - b - b) % p
        Y = (a * (b - X) - 8 * g * g) % p
        n -= 1
    return X, Y, Z


def double_add(X: int, Y: int, Z: int, xs: list, ys: list, i: int, j: int) -> tuple:
    """Return 2Q + (xs[c], ys[c]) done for c = i .. j-1, from the Jacobian Q = (X, Y, Z).

    (Q + A) + Q in co-Z form: Q + A leaves Q with the sum's own Z for nothing, so that the second
    addition is short (Meloni 2007).  18 products, 17 reductions.  Z = 0 in the result says that
    an exceptional case was met on the way (Q = +-A, or the infinite point), and nothing else.
    """
    p = P
    while i < j:
        z = Z * Z % p
        h = (xs[i] * z - X) % p
        r = (ys[i] * (z * Z % p) - Y) % p
        z = h * h % p
        v = X * z % p
        z = z * h % p
        y = Y * z % p
        w = (r * r - z - 3 * v) % p
        r = (r * w + 2 * y) % p
        z = w * w % p
        v = v * z % p
        z = z * w % p
        X = (r * r - 2 * v - z) % p
        Y = (r * (X - v) - y * z) % p
        Z = Z * h % p * w % p
        i += 1
    return X, Y, Z


def add(X: int, Y: int, Z: int, x: int, y: int) -> tuple:
    """Return Jacobian + affine; complete: Z = 0 stands for the infinite point."""
    p = P
    if not Z:
        return x, y, 1
    z = Z * Z % p
    h = (x * z - X) % p
    r = (y * (z * Z % p) - Y) % p
    if not h:
        return double(X, Y, Z, 1) if not r else (1, 1, 0)
    z = h * h % p
    v = X * z % p
    z = z * h % p
    X = (r * r - z - 2 * v) % p
    return X, (r * (v - X) - Y * z) % p, Z * h % p
