"""The curves' tables: G's own, and those of keys that are kept."""

from curve_parts import ended, octets, slow
from fwnode.crypto import InvalidKey, comb, gtable, p256, pure, sha256
from fwnode.crypto.p256 import GX, GY, N
from support import raises


def test_a_forged_table_does_not_pass():
    """With the forger's point for G in the table that ships, his signature would be accepted."""
    key = p256.random_scalar()  # nobody's key: the victim's public key is known, its private not
    public = p256.encode(*slow(key, GX, GY))
    # Table of G' = t Q for the victim's Q: then u G' + v Q = (u t + v) Q, which the forger solves.
    t = p256.random_scalar()
    x, y = slow(t * key % N, GX, GY)
    forged = bytes(ended(comb.build(x, y))[0])
    z = int.from_bytes(sha256(b"evil"), "big")
    m = p256.random_scalar()  # choose R = m Q, so r = x(R), s = (z t + r) / m
    r = slow(m * key % N, GX, GY)[0] % N
    s = (z * t + r) * p256.inverse(m, N) % N
    signature = octets(r) + octets(s)

    table, kept = gtable.TABLE, list(pure._base)
    try:
        pure._base[:] = [comb.Comb(forged)]
        assert ended(pure.verify(public, b"evil", signature))[0]  # the attack, were it not checked
        gtable.TABLE = forged
        pure._base[:] = []
        assert not ended(pure.verify(public, b"evil", signature))[0]
        good = ended(pure.sign(octets(key), b"m"))[0]
        assert ended(pure.verify(public, b"m", good))[0]  # the right table was made anew
        assert sha256(pure._base[0].table) == pure.GTABLE_SHA256
        # one changed byte, a short table, none
        for bad in (table[:100] + bytes([table[100] ^ 1]) + table[101:], table[:-1], b""):
            gtable.TABLE = bad
            pure._base[:] = []
            assert not ended(pure.verify(public, b"evil", signature))[0]
            assert ended(pure.verify(public, b"m", good))[0]
    finally:
        gtable.TABLE = table
        pure._base[:] = kept


def test_the_table_that_ships_is_the_comb_of_g():
    assert bytes(ended(comb.build(GX, GY))[0]) == gtable.TABLE
    assert sha256(gtable.TABLE) == pure.GTABLE_SHA256


def test_keys_kept_are_few_and_the_oldest_goes():
    before = list(pure._combs)
    try:
        pure._combs[:] = []
        publics = [ended(pure.public_key(octets(p256.random_scalar())))[0] for _ in range(pure.KEYS + 1)]
        for public in publics[:-1]:
            ended(pure.precompute(public))
        ended(pure.ecdh(octets(5), publics[0]))  # used: now the second is the oldest
        ended(pure.precompute(publics[-1]))
        kept = [public for public, _ in pure._combs]
        assert len(kept) == pure.KEYS
        assert publics[0] in kept and publics[-1] in kept and publics[1] not in kept
        raises(InvalidKey, pure.precompute, bytes(65))
        assert len(pure._combs) == pure.KEYS
    finally:
        pure._combs[:] = before
