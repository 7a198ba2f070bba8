"""The merkle tree of a block's leaves, with the prefixes and the shape of RFC 6962 (section 2.1).

leaf hash = SHA-256(0x00 || leaf); node hash = SHA-256(0x01 || left || right); a list of n splits at
the largest power of two below n. The paths are those of RFC 6962, from the leaf up to the root.
"""

import hashlib

from fwnode.chain import ChainError


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    half = 1
    while half * 2 < count:
        half *= 2
    return half


def root(leaves: list) -> bytes:
    """The merkle root of a list of leaves (bytes); of none it is the hash of nothing, as RFC 6962
    has it.
    """
    if not leaves:
        return hashlib.sha256(b"").digest()
    return _root([leaf_hash(leaf) for leaf in leaves])


def _root(hashes: list) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    half = _split(len(hashes))
    return _node(_root(hashes[:half]), _root(hashes[half:]))


def proof(leaves: list, index: int) -> list:
    """The audit path of leaf `index`: sibling hashes from the leaf up."""
    if not 0 <= index < len(leaves):
        raise ChainError("index", "{}, {} leaves".format(index, len(leaves)))
    return _proof([leaf_hash(leaf) for leaf in leaves], index)


def _proof(hashes: list, index: int) -> list:
    if len(hashes) == 1:
        return []
    half = _split(len(hashes))
    if index < half:
        return _proof(hashes[:half], index) + [_root(hashes[half:])]
    return _proof(hashes[half:], index - half) + [_root(hashes[:half])]


def check(leaf: bytes, index: int, count: int, path: list, expected: bytes) -> None:
    """Raise ChainError unless `leaf` is number `index` of `count` leaves under the root `expected`
    (RFC 9162, 2.1.3.2).
    """
    if not 0 <= index < count:
        raise ChainError("index", "{}, {} leaves".format(index, count))
    digest = leaf_hash(leaf)
    last = count - 1
    for sibling in path:
        if last == 0:
            raise ChainError("path", "{} hashes are too many for {} leaves".format(len(path), count))
        if index & 1 or index == last:
            digest = _node(sibling, digest)
            while index and not index & 1:
                index >>= 1
                last >>= 1
        else:
            digest = _node(digest, sibling)
        index >>= 1
        last >>= 1
    if last != 0:
        raise ChainError("path", "{} hashes are too few for {} leaves".format(len(path), count))
    if digest != expected:
        raise ChainError("path", "it does not lead to the merkle root")
