"""The board's own arithmetic: slices, blinding, combs and their check; on both interpreters."""

from os import urandom

from curve_parts import ended, octets, slow
from fwnode import crypto
from fwnode.crypto import comb, gtable, ladder, p256, pure, sha256
from fwnode.crypto.p256 import GX, GY, N, P


def test_inverse():
    for m in (P, N):
        for a in (1, 2, 3, m - 1, m - 2, p256.random_scalar() % m):
            assert p256.inverse(a, m) * a % m == 1
            assert p256.secret_inverse(a, m) * a % m == 1


def test_complete_addition():
    assert p256.add(1, 1, 0, GX, GY) == (GX, GY, 1)
    assert p256.add(GX, GY, 1, GX, P - GY)[2] == 0
    two = p256.affine(*p256.add(GX, GY, 1, GX, GY))
    assert two == p256.affine(*p256.double(GX, GY, 1, 1))
    # the short double-and-add tells its exceptional cases by Z = 0
    for x, y in ((GX, GY), (GX, P - GY)):
        assert p256.double_add(GX, GY, 1, (x,), (y,), 0, 1)[2] == 0
    minus_two = (two[0], P - two[1])
    assert p256.double_add(GX, GY, 1, (minus_two[0],), (minus_two[1],), 0, 1)[2] == 0


def test_digits_of_a_comb():
    for k in (0, 1, 2, 3, N - 1, N - 2, p256.random_scalar()):
        rows = comb.digits(k)
        total = 0
        for block in range(2):
            for c in range(26):
                e = rows[block][25 - c]
                for j in range(5):
                    total += (1 if e >> j & 1 else -1) << (26 * (5 * block + j) + c)
        assert (total - k) % N == 0
        assert len(rows[0]) == len(rows[1]) == 26


def test_naf():
    for width in (2, 5):
        for k in (1, 2, 3, 31, N - 1, (1 << 64) - 1, 1 << 64, int.from_bytes(urandom(32), "big")):
            total = 0
            last = -width
            for code in ladder.naf(k, width):
                i = code >> 6
                d = code & 62 | 1
                total += (-d if code & 1 else d) << i
                assert d < 1 << (width - 1)
                assert i - last >= width
                last = i
            assert total == k


def test_multiplications_agree():
    g = comb.Comb(gtable.TABLE)
    d = p256.random_scalar()
    x, y = slow(d, GX, GY)
    q = comb.Comb(ended(comb.build(x, y))[0])
    assert len(q.table) == 2048
    for k in (1, 2, 3, 4, 5, 1 << 26, (1 << 26) - 1, 1 << 130, N - 1, N - 2, p256.random_scalar()):
        kg = slow(k, GX, GY)
        kq = slow(k, x, y)
        assert ended(comb.multiply(k, (g,)))[0] == [kg]
        assert ended(comb.multiply(k, (g, q)))[0] == [kg, kq]
        assert ended(ladder.multiply(k, x, y))[0] == kq
        total = p256.add(kg[0], kg[1], 1, kq[0], kq[1])
        if total[2]:
            total = p256.affine(*total)
            assert p256.affine(*ended(ladder.multiply_add(k, g, k, x, y))[0]) == total
            short = ended(comb.multiply_add(k, g, k, q))[0]
            assert not short[2] or p256.affine(*short) == total
    # nothing at all, and one of the two alone
    assert ended(ladder.multiply_add(0, g, 0, x, y))[0][2] == 0
    assert p256.affine(*ended(ladder.multiply_add(0, g, 1, x, y))[0]) == (x, y)
    assert p256.affine(*ended(ladder.multiply_add(1, g, 0, x, y))[0]) == (GX, GY)


def test_exceptional_sums_in_a_ladder():
    """A digit list that makes double-and-add meet Q + Q, Q - Q and 2Q - 2Q."""
    two = p256.affine(*p256.double(GX, GY, 1, 1))
    points = (GX, two[0]), (GY, two[1])
    for digits, k in (
        ([0, 64], 3),  # 2G + G
        ([1, 64], 1),  # 2G - G
        ([2, 64], 4),  # 2G + 2G
        ([3, 64], 0),  # 2G - 2G
        ([0, 67, 128], 1),  # (4G - 4G) + G
        ([64, 64 * 2 + 1], N - 2),  # 2(2(-G) + G)
    ):
        q = ended(ladder.run(list(digits), points, [], points, 1))[0]
        assert (p256.affine(*q) if q[2] else None) == (slow(k, GX, GY) if k else None), digits
        # the same with the second list: both at one position
        q = ended(ladder.run(list(digits), points, list(digits), points, 7))[0]
        assert (p256.affine(*q) if q[2] else None) == (slow(2 * k % N, GX, GY) if k else None)


def _signature_of(x, y, s):
    """A public key for which (x mod n, s) signs b"m", with the point (x, y) for R."""
    r = x % N
    z = int.from_bytes(sha256(b"m"), "big")
    # R = (z/s) G + (r/s) Q
    w = slow(z * p256.inverse(s, N) % N, GX, GY)
    q = p256.affine(*p256.add(x, y, 1, w[0], P - w[1]))
    return p256.encode(*slow(s * p256.inverse(r, N) % N, *q)), r


def _check(public, r, s, expected):
    signature = octets(r) + octets(s)
    assert crypto.verify(public, b"m", signature) is expected
    assert ended(pure.verify(public, b"m", signature))[0] is expected


def test_signatures_whose_numbers_are_near_the_edge():
    # s and s + n are the same number mod n, but only s is a signature
    x, y = slow(p256.random_scalar(), GX, GY)
    for s in (1, 5, (1 << 256) - 1 - N):
        public, r = _signature_of(x, y, s)
        for _ in range(2):
            _check(public, r, s, True)
            _check(public, r, s + N, False)
            _check(public, r, 0, False)  # Euclid would make 1 of 1/0, which is the signature s = 1
            ended(pure.precompute(public))
    # R's x is r + n, not r: one in 2^32 signatures.  r + n itself is none.
    x = N
    while True:
        x += 1
        square = (x * x * x - 3 * x + p256.B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            break
    s = p256.random_scalar()
    public, r = _signature_of(x, y, s)
    assert r < 100
    for _ in range(2):
        _check(public, r, s, True)
        _check(public, x, s, False)
        _check(public, r + 1, s, False)
        ended(pure.precompute(public))


def test_no_two_entries_of_a_comb_cancel():
    """columns() adds an entry of each block without asking whether they are equal or opposite."""
    low = {comb._entry_scalar(e) % N for e in range(32)}
    high = {(comb._entry_scalar(e) << 130) % N for e in range(32)}
    assert len(low) == len(high) == 32
    for a in low:
        assert a and a not in high


def test_the_work_is_sliced():
    """Between two yields stand some 16 doublings or 4 columns, 26 sums or one inversion."""
    count = [0, 0]

    def counted(function, amount):
        def call(*args):
            count[0] += amount(*args)
            return function(*args)

        return call

    real = (ladder.double, ladder.double_add, ladder.add, comb.double, comb.double_add, comb.add)
    ladder.double = counted(ladder.double, lambda X, Y, Z, n: n)
    comb.double = counted(comb.double, lambda X, Y, Z, n: n)
    ladder.double_add = counted(ladder.double_add, lambda X, Y, Z, xs, ys, i, j: 2 * (j - i))
    comb.double_add = counted(comb.double_add, lambda X, Y, Z, xs, ys, i, j: 2 * (j - i))
    ladder.add = counted(ladder.add, lambda *a: 1)
    comb.add = counted(comb.add, lambda *a: 1)
    try:
        key, other = octets(p256.random_scalar()), octets(p256.random_scalar())
        public = ended(pure.public_key(key))[0]
        signature = ended(pure.sign(key, b"m"))[0]
        box = ended(pure.seal(public, b"", b"", b""))[0]
        peer = ended(pure.public_key(other))[0]
        for again in (False, True):
            for work, least in (
                (pure.sign(key, b"m"), 8),
                (pure.verify(public, b"m", signature), 10 if again else 25),
                (pure.ecdh(other, public), 8 if again else 25),
                (pure.seal(public, b"", b"", b""), 16 if again else 30),
                (pure.unseal(key, b"", b"", box), 25),
                (pure.precompute(peer), 0 if again else 30),
                (pure.precompute(public), 0 if again else 30),
            ):
                yields = 0
                count[0] = 0
                try:
                    while True:
                        next(work)
                        assert count[0] <= 18, count[0]
                        count[0] = 0
                        yields += 1
                except StopIteration:
                    assert count[0] <= 18, count[0]
                assert yields >= least, yields
    finally:
        (ladder.double, ladder.double_add, ladder.add, comb.double, comb.double_add, comb.add) = real


def test_random_scalars_are_uniform():
    """Even and odd, high and low: a bit that is fixed would be lost to a key."""
    drawn = [p256.random_scalar() for _ in range(100)]
    assert all(0 < k < N for k in drawn)
    for bit in range(256):
        assert len({k >> bit & 1 for k in drawn}) == 2 or bit >= 224, bit


def test_no_number_comes_again_when_a_secret_is_used_again():
    """What is doubled, added to, inverted or split with a secret in it differs with every call, for equal arguments."""
    seen = []

    def recorded(function, keep):
        def call(*args):
            for n in keep(*args):
                seen.append(n & (1 << 60) - 1)  # as much as a small integer holds: the heap is small
            return function(*args)

        return call

    def coordinates(X, Y, Z, *rest):
        return (X, Y % P, Z)

    def in_a_sum(X, Y, Z, xs, ys, i, j):
        return coordinates(X, Y, Z) if len(xs) > 1 else ()

    def inverted(a, m):
        return (a % m,)

    def digits(k, *width):
        return (k,)

    places = []
    for module, name, keep in (
        # not where a blinding pair is renewed: it is random itself, used once and doubled once
        (comb, "double_add", in_a_sum),
        (comb, "inverse", inverted),
        (comb, "digits", digits),
        (ladder, "double", coordinates),
        (ladder, "double_add", coordinates),
        (ladder, "add", coordinates),
        (ladder, "naf", lambda k, width: (k,) if k >> 64 else ()),  # short scalars are random themselves
        (p256, "inverse", inverted),
        (pure, "inverse", inverted),
    ):
        places.append((module, name, getattr(module, name)))
        setattr(module, name, recorded(getattr(module, name), keep))
    try:
        key = octets(p256.random_scalar())
        public = ended(pure.public_key(octets(p256.random_scalar())))[0]
        box = ended(pure.seal_with(5, ended(pure.public_key(key))[0], b"", b"", b""))[0]
        e = p256.random_scalar()

        def forget():
            pure._last[:] = b"", b""
            del seen[:]

        for operation, *args in (
            (pure.public_key, key),
            (pure.sign, key, b"m"),
            (pure.ecdh, key, public),
            (pure.unseal, key, b"", b"", box),
            (pure.seal_with, e, public, b"", b"", b""),
        ):
            for kept in (False, True):
                pure._combs[:] = []
                if kept:
                    ended(pure.precompute(public))
                forget()
                first = ended(operation(*args))[0]
                before = set(seen)
                assert len(before) > 20
                forget()
                assert ended(operation(*args))[0] == first
                assert not before.intersection(seen)
    finally:
        for module, name, real in places:
            setattr(module, name, real)
        pure._combs[:] = []


def test_each_protection_holds_by_itself():
    """The test before would not miss one of several that cover the same number."""
    asked = []

    def recorded(a, m):
        asked.append(a % m)
        return real(a, m)

    real = p256.inverse
    p256.inverse = comb.inverse = recorded
    try:
        g = comb.Comb(gtable.TABLE)
        for _ in range(3):
            p256.secret_inverse(7, P)
            ended(comb.columns(((gtable.TABLE, 7),)))
        assert len(asked) == len(set(asked)) == 6
    finally:
        p256.inverse = comb.inverse = real
    ended(g.next_blind())
    pair = g.pair
    after = set()
    for _ in range(20):  # the next pair is one of 32, by chance
        g.pair = pair
        after.add(ended(g.next_blind())[0][0])
    assert len(after) > 1


def test_blinding_changes_with_every_use():
    c = comb.Comb(gtable.TABLE)
    seen = set()
    for _ in range(5):
        b, (X, Y, Z) = ended(c.next_blind())[0]
        assert p256.affine(X, Y, Z) == slow(b, GX, GY)
        assert b not in seen and Z not in seen and Z != 1
        seen.add(b)
        seen.add(Z)


def test_a_blinding_scalar_that_cannot_be_used_is_replaced():
    """Two first columns alike, or opposite, would make the pair (b, infinite point), and every product wrong."""
    bad = 0xB2AF8AE1230AB20480CF3CE19591B75B0DEEE0925D605ADACE51553FBC21AA1D
    rows = comb.digits(bad)
    first, second = [row[0] for row in rows], [row[1] for row in rows]
    assert second in (first, [31 - e for e in first])
    asked = []

    def scalar():
        asked.append(1)
        return bad if len(asked) == 1 else real()

    real = comb.random_scalar
    comb.random_scalar = scalar
    try:
        c = comb.Comb(gtable.TABLE)
        b, q = ended(c.next_blind())[0]
    finally:
        comb.random_scalar = real
    assert b != bad and p256.affine(*q) == slow(b, GX, GY)
