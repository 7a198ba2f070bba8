"""The optional machine code agrees with the plain code; where it cannot be, nothing changes."""

import sys

from fwnode import crypto
from fwnode.crypto import comb, gtable, ladder, native, p256, pure
from fwnode.crypto.gcm import Gcm
from fwnode.crypto.p256 import GX, GY, N


def _has_viper():
    """Whether this interpreter makes machine code: not every MicroPython port does."""
    if sys.implementation.name != "micropython":
        return False
    try:
        exec("import micropython\n@micropython.viper\ndef f(a: int) -> int:\n return a + 1\n", {})
    except SyntaxError:
        return False
    return True


def _end(work):
    try:
        while True:
            next(work)
    except StopIteration as e:
        return e.value


def _point(q):
    return p256.affine(*q) if q[2] else None


def test_it_is_an_option():
    plain = comb.run, ladder.run
    try:
        here = _has_viper()
        assert crypto.use_machine_code() is here
        assert (comb.run is not plain[0]) is here
        assert (ladder.run is not plain[1]) is here
    finally:
        native.disable()
    assert (comb.run, ladder.run) == plain


class _Version:
    """sys.implementation of another MicroPython."""

    def __init__(self, *version):
        self.version = version


def _raiser(error):
    def source():
        raise error

    return source


def test_it_stays_off_where_it_is_not_safe():
    plain = comb.run, comb.sums, comb.multiply_add, comb.double, ladder.run
    own, source = native.implementation, native.source
    try:
        # 1.25 on an ESP32 makes wrong branches of it without an error
        for version in ((1, 23, 0), (1, 25, 0, "")):
            native.implementation = _Version(*version)
            assert native.enable() is False
        native.implementation = _Version(1, 26, 0)
        assert native.enable() is _has_viper()
        native.disable()
        # the board's assembler gives up, the heap is full, the machine computes wrongly
        for error in (RuntimeError("bccz out of range"), NotImplementedError("native method too big"), MemoryError()):
            native.source = _raiser(error)
            assert native.enable() is False
        wrong = source().replace("m = x & 8191", "m = x & 4095")
        assert wrong != source()
        native.source = lambda: wrong
        assert native.enable() is False
        assert (comb.run, comb.sums, comb.multiply_add, comb.double, ladder.run) == plain
    finally:
        native.implementation, native.source = own, source
        native.disable()


def test_both_compute_the_same():
    x, y = GX, GY
    q = comb.Comb(gtable.TABLE)
    scalars = [1, 2, 3, 5, 31, 33, 1 << 40, 1 << 64, 1 << 255, N - 1, N - 2]
    scalars += [p256.random_scalar() for _ in range(3)]
    plain = []
    for k in scalars:
        plain.append((_end(ladder.multiply(k, x, y)), _point(_end(ladder.multiply_add(k, q, N - k, x, y)))))
    try:
        native.enable()
        for k, (product, total) in zip(scalars, plain):
            assert _end(comb.multiply(k, (q,))) == [product]
            assert _end(comb.multiply(k, (q, comb.Comb(gtable.TABLE)))) == [product] * 2
            assert _end(ladder.multiply(k, x, y)) == product
            assert total is None  # k G - k G
            assert _point(_end(ladder.multiply_add(k, q, N - k, x, y))) is None
            again = _point(_end(ladder.multiply_add(k, q, 0, x, y)))
            assert again == product
        assert bytes(_end(comb.build(GX, GY))) == gtable.TABLE
    finally:
        native.disable()


def _seal(g, nonce, aad, plain):
    box = bytearray(len(plain) + 16)
    g.seal(nonce, aad, plain, memoryview(box))
    return bytes(box)


def test_gcm_of_every_length():
    data = bytes([i * 7 & 255 for i in range(131)])
    sealed = []
    for n in range(131):
        g = Gcm(data[n & 15 : (n & 15) + 16])
        sealed.append(_seal(g, data[:12] if n & 1 else data[:n], data[n:], data[:n]))
    try:
        native.enable()
        for n in range(131):
            g = Gcm(data[n & 15 : (n & 15) + 16])
            nonce = data[:12] if n & 1 else data[:n]
            assert _seal(g, nonce, memoryview(data)[n:], data[:n]) == sealed[n]
            assert g.open(nonce, data[n:], sealed[n]) == data[:n]
            assert g.open(nonce, data[n:] + b"\x00", sealed[n]) is None
    finally:
        native.disable()


def test_exceptional_sums_in_a_ladder():
    two = p256.affine(*p256.double(GX, GY, 1, 1))
    points = (GX, two[0]), (GY, two[1])
    for digits in ([0, 64], [1, 64], [2, 64], [3, 64], [0, 67, 128], [64, 129], [0], [64]):
        for other in ([], digits, [0]):
            q = _point(_end(ladder.run(list(digits), points, list(other), points, 3)))
            try:
                native.enable()
                assert _point(_end(ladder.run(list(digits), points, list(other), points, 5))) == q
            finally:
                native.disable()


def test_the_face_with_machine_code():
    key, other = crypto.generate_key(), crypto.generate_key()
    expected = _end(pure.public_key(key)), _end(pure.sign(key, b"m"))
    try:
        native.enable()
        pure._last[:] = b"", b""
        public = _end(pure.public_key(key))
        peer = _end(pure.public_key(other))
        signature = _end(pure.sign(key, b"m"))
        assert (public, signature) == expected
        for _ in range(2):
            assert _end(pure.verify(public, b"m", signature)) is True
            assert _end(pure.verify(public, b"n", signature)) is False
            assert _end(pure.verify(peer, b"m", signature)) is False
            secret = _end(pure.ecdh(other, public))
            assert secret == _end(pure.ecdh(key, peer))
            box = _end(pure.seal(public, b"i", b"a", b"p"))
            assert _end(pure.unseal(key, b"i", b"a", box)) == b"p"
            _end(pure.precompute(public))
    finally:
        native.disable()
    assert secret == _end(pure.ecdh(other, public))
    assert _end(pure.unseal(key, b"i", b"a", box)) == b"p"
