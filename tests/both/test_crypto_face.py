"""fwnode.crypto's face: round trips, hostile input, slices; the same on both interpreters."""

from os import urandom

from fwnode import crypto
from fwnode.compat import run, tidy
from fwnode.crypto import InvalidBox, InvalidKey, steps
from fwnode.errors import FwError
from fwnode.wire.bencode import encode
from fwnode.wire.message import digest as digest_of
from support import raises

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


def _bytes(n):
    return n.to_bytes(32, "big")


def _pair():
    key = crypto.generate_key()
    return key, crypto.public_key(key)


def _bad_public_keys():
    """Nothing here is a point of P-256."""
    good = _pair()[1]
    x = int.from_bytes(good[1:33], "big")
    y = int.from_bytes(good[33:], "big")
    root = pow(B, (P + 1) // 4, P)  # (0, root) is on the curve: so is (p, root) if p counted as 0
    assert root * root % P == B
    return [
        b"",
        b"\x00",  # the infinite point, as SEC 1 writes it
        bytes(65),
        b"\x04",
        b"\x04" + bytes(64),
        good[:-1],
        good + b"\x00",
        good[1:],
        b"\x02" + good[1:33],  # compressed
        b"\x03" + good[1:33],
        b"\x06" + good[1:],  # hybrid
        b"\x07" + good[1:],
        b"\x05" + good[1:],
        good[:33] + _bytes(y ^ 1),
        good[:1] + _bytes((x + 1) % P) + good[33:],
        b"\x04" + _bytes(P) + _bytes(root),
        b"\x04" + _bytes(0) + _bytes(P + root) if P + root < 1 << 256 else b"",
        b"\x04" + b"\xff" * 64,
        b"\x04" + _bytes(P) * 2,
        good[:33] + _bytes(0),
        # on the curve y^2 = x^3 - 3x + 1, not on P-256
        b"\x04" + _bytes(0) + _bytes(1),
    ]


def test_errors_are_of_the_package():
    assert issubclass(InvalidKey, FwError)
    assert issubclass(InvalidBox, FwError)


def test_keys():
    assert crypto.public_key(_bytes(1)) == G
    assert crypto.public_key(_bytes(N - 1)) == G[:33] + _bytes(P - int.from_bytes(G[33:], "big"))
    for private in (bytes(32), _bytes(N), b"\xff" * 32, b"", bytes(31) + b"", bytes(33), b"\x01"):
        raises(InvalidKey, crypto.public_key, private)
        raises(InvalidKey, crypto.sign, private, b"m")
        raises(InvalidKey, crypto.ecdh, private, G)
        raises(InvalidKey, crypto.unseal, private, b"", b"", bytes(100))
    a, b = crypto.generate_key(), crypto.generate_key()
    assert len(a) == 32
    assert a != b


def test_bad_public_keys():
    key = crypto.generate_key()
    signature = crypto.sign(key, b"m")
    for public in _bad_public_keys():
        raises(InvalidKey, crypto.verify, public, b"m", signature)
        raises(InvalidKey, crypto.ecdh, key, public)
        raises(InvalidKey, crypto.seal, public, b"", b"", b"")
        raises(InvalidKey, crypto.precompute, public)
        box = public + bytes(16)
        raises(InvalidBox, crypto.unseal, key, b"", b"", box)


def test_a_key_may_have_x_or_y_near_the_edge():
    # x = 0 is a point of P-256, which a check "x < 1" would refuse
    root = pow(B, (P + 1) // 4, P)
    zero = b"\x04" + bytes(32) + _bytes(root)
    assert crypto.ecdh(_bytes(1), zero) == bytes(32)
    crypto.precompute(zero)
    assert crypto.ecdh(_bytes(1), zero) == bytes(32)


def test_signatures():
    key, public = _pair()
    for message in (b"", b"m", urandom(300)):
        signature = crypto.sign(key, message)
        assert signature == crypto.sign(key, message)  # deterministic
        assert len(signature) == 64
        assert crypto.verify(public, message, signature) is True
        assert crypto.verify(public, message + b"x", signature) is False
        assert crypto.verify(_pair()[1], message, signature) is False
        for i in (0, 31, 32, 63):
            bad = bytearray(signature)
            bad[i] ^= 1
            assert crypto.verify(public, message, bytes(bad)) is False


def _hostile_signatures(public, good):
    r, s = good[:32], good[32:]
    rn = int.from_bytes(r, "big")
    bad = [
        b"",
        good[:63],
        good + b"\x00",
        r + b"\x00" + s,  # the same two numbers
        b"\x00" + good,
        bytes(64),
        bytes(32) + s,
        r + bytes(32),
        _bytes(N) + s,
        r + _bytes(N),
        b"\xff" * 64,
        r + b"\xff" * 32,
        _bytes(N - 1) + s,
        r + _bytes(N - 1),
        s + r,
        r + r,
        _bytes(1) * 2,
        # r and s as DER would have them
        b"\x30\x44\x02\x20" + r + b"\x02\x20" + s,
    ]
    if rn + N < 1 << 256:
        bad.append(_bytes(rn + N) + s)
    for signature in bad:
        assert crypto.verify(public, b"m", signature) is False, signature


def test_hostile_signatures():
    key, public = _pair()
    good = crypto.sign(key, b"m")
    _hostile_signatures(public, good)
    crypto.precompute(public)
    _hostile_signatures(public, good)
    assert crypto.verify(public, b"m", good)
    # s and n - s are both valid in plain ECDSA
    s = N - int.from_bytes(good[32:], "big")
    assert crypto.verify(public, b"m", good[:32] + _bytes(s))


def test_exceptional_points_in_verify():
    """Keys G, -G, 2G and G/2 with the scalars that make the short addition formulas fail."""
    half = pow(2, N - 2, N)
    for d in (1, N - 1, 2, N - 2, half, 3, 1 << 26, 1 << 130):
        d %= N
        public = crypto.public_key(_bytes(d))
        for precomputed in (False, True):
            if precomputed:
                crypto.precompute(public)
            signature = crypto.sign(_bytes(d), b"m")
            assert crypto.verify(public, b"m", signature)
            # u G + v Q is the infinite point when z = -r d
            z = int.from_bytes(crypto.sha256(b"m"), "big")
            r = (N - z) * pow(d, N - 2, N) % N
            for s in (1, 2, z % N, r):
                assert crypto.verify(public, b"m", _bytes(r) + _bytes(s)) is False


def test_ecdh():
    a, pa = _pair()
    b, pb = _pair()
    secret = crypto.ecdh(a, pb)
    assert len(secret) == 32
    assert secret == crypto.ecdh(b, pa)
    crypto.precompute(pa)
    assert secret == crypto.ecdh(b, pa)
    assert secret != crypto.ecdh(a, pa)
    x = pa[1:33]
    for k in (1, N - 1):
        assert crypto.ecdh(_bytes(k), pa) == x
    for k in (2, 3, 5, 17, N - 2, 1 << 64, (1 << 64) - 1, 1 << 255):
        assert crypto.ecdh(_bytes(k), pa) == crypto.ecdh(a, crypto.public_key(_bytes(k)))


def test_boxes():
    key, public = _pair()
    for precomputed in (False, True):
        if precomputed:
            crypto.precompute(public)
        for size in (0, 1, 15, 16, 17, 90, 127, 128, 129, 1000):
            plain = urandom(size)
            box = crypto.seal(public, b"info", b"aad", plain)
            assert len(box) == size + 81
            assert crypto.unseal(key, b"info", b"aad", box) == plain
        assert crypto.seal(public, b"", b"", b"") != crypto.seal(public, b"", b"", b"")
    raises(InvalidBox, crypto.unseal, key, b"Info", b"aad", box)
    raises(InvalidBox, crypto.unseal, key, b"info", b"aae", box)
    raises(InvalidBox, crypto.unseal, key, b"info", b"", box)
    raises(InvalidBox, crypto.unseal, crypto.generate_key(), b"info", b"aad", box)


def test_hostile_boxes():
    key, public = _pair()
    box = crypto.seal(public, b"i", b"a", b"plain text")
    for n in (0, 1, 64, 65, 66, 80, 81, len(box) - 1):
        raises(InvalidBox, crypto.unseal, key, b"i", b"a", box[:n])
    raises(InvalidBox, crypto.unseal, key, b"i", b"a", box + b"\x00")
    raises(InvalidBox, crypto.unseal, key, b"i", b"a", b"\x00" + box)
    for i in (0, 1, 33, 64, 65, len(box) - 17, len(box) - 16, len(box) - 1):
        bad = bytearray(box)
        bad[i] ^= 0x80
        raises(InvalidBox, crypto.unseal, key, b"i", b"a", bytes(bad))
    raises(InvalidBox, crypto.unseal, key, b"i", b"a", urandom(2000))


def test_random_bytes_raise_nothing_else():
    key, public = _pair()
    signature = crypto.sign(key, b"m")
    for size in (0, 1, 31, 32, 33, 63, 64, 65, 66, 81, 200):
        data = urandom(size)
        if size != 64:
            assert crypto.verify(public, b"m", data) is False
        raises(InvalidKey, crypto.verify, data, b"m", signature)
        raises(InvalidBox, crypto.unseal, key, data, data, data)
        if size == 65:
            raises(InvalidKey, crypto.ecdh, key, b"\x04" + data[1:])


def test_bytes_likes_are_taken():
    key, public = _pair()
    box = crypto.seal(memoryview(public), b"i", bytearray(b"a"), bytearray(b"p"))
    assert crypto.unseal(bytearray(key), b"i", b"a", bytearray(box)) == b"p"
    assert crypto.unseal(key, b"i", memoryview(b"a"), memoryview(box)) == b"p"
    signature = crypto.sign(key, memoryview(b"m"))
    assert crypto.verify(bytearray(public), bytearray(b"m"), memoryview(signature))


def test_more_keys_precomputed_than_are_kept():
    pairs = [_pair() for _ in range(6)]
    secrets = [crypto.ecdh(pairs[0][0], public) for _, public in pairs]
    for _, public in pairs:
        crypto.precompute(public)
    for i in range(6):
        key, public = pairs[i]
        assert crypto.ecdh(pairs[0][0], public) == secrets[i]
        assert crypto.verify(public, b"m", crypto.sign(key, b"m"))


def _interleave(works):
    """Run generators in turn, as an event loop would; return their results."""
    results = [None] * len(works)
    running = list(range(len(works)))
    while running:
        for i in list(running):
            try:
                assert next(works[i]) is None
            except StopIteration as e:
                results[i] = e.value
                running.remove(i)
    return results


def test_tasks_that_run_interleaved():
    tidy(4096)  # as fwnode does while the curves are loaded: eleven at once leave a heap in pieces
    key, public = _pair()
    other, peer = _pair()
    signature = crypto.sign(key, b"m")
    secret = crypto.ecdh(key, peer)
    crypto.precompute(peer)
    box = crypto.seal(public, b"i", b"a", b"p")
    works = [
        steps.ecdh(key, peer),
        steps.ecdh(key, peer),
        steps.ecdh(other, public),
        steps.sign(key, b"m"),
        steps.sign(key, b"m"),
        steps.public_key(other),
        steps.verify(public, b"m", signature),
        steps.verify(peer, b"m", signature),
        steps.seal(peer, b"i", b"a", b"q"),
        steps.unseal(key, b"i", b"a", box),
        steps.precompute(public),
    ]
    got = _interleave(works)
    assert got[:3] == [secret] * 3
    assert got[3] == got[4] == signature
    assert got[5] == peer
    assert got[6] is True
    assert got[7] is False
    assert crypto.unseal(other, b"i", b"a", got[8]) == b"q"
    assert got[9] == b"p"


def test_what_is_signed_may_be_given_by_its_digest():
    key, public = _pair()
    digest = crypto.sha256(b"sample")
    signature = run(steps.sign_digest(key, digest))
    assert signature == crypto.sign(key, b"sample")
    assert crypto.verify(public, b"sample", signature) and run(steps.verify_digest(public, digest, signature))
    assert not run(steps.verify_digest(public, crypto.sha256(b"simple"), signature))
    for malformed in (signature[:-1], signature + b"\0", bytes(64)):
        assert run(steps.verify_digest(public, digest, malformed)) is False
    raises(InvalidKey, run, steps.verify_digest(public[:-1], digest, signature))
    raises(InvalidKey, run, steps.sign_digest(bytes(32), digest))


def test_a_document_is_hashed_part_by_part_as_it_is_encoded():
    body = {"b": [1, b"two", {"c": b"3" * 300}], "a": memoryview(b"view"), "t": "text"}
    assert digest_of(b"prefix", body) == crypto.sha256(b"prefix" + encode(body))


def test_digests():
    assert crypto.sha256(b"abc") == bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    assert crypto.hmac_sha256(b"Jefe", b"what do ya want for nothing?") == bytes.fromhex(
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert crypto.equal(b"", b"")
    assert crypto.equal(b"ab", bytearray(b"ab"))
    assert not crypto.equal(b"ab", b"ac")
    assert not crypto.equal(b"ab", b"bb")
    assert not crypto.equal(b"ab", b"abc")
