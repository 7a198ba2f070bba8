"""Merkle tree, proof of work and genesis."""

import hashlib

from chain_parts import TIME, Network
from fwnode import crypto
from fwnode.chain import ChainError, genesis, header, merkle, pow
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode
from support import raises, run

# The leaves and roots of RFC 6962's reference implementation (certificate-transparency, merkle_tree_test).
LEAVES = [
    b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57", bytes(range(0x60, 0x70)),
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_roots_of_rfc_6962():
    for count in range(1, 9):
        assert merkle.root(LEAVES[:count]) == bytes.fromhex(ROOTS[count - 1]), count
    assert merkle.root([]) == hashlib.sha256(b"").digest()


def test_every_leaf_of_every_tree_is_proven_and_no_other():
    for count in range(1, 19):
        leaves = [b"leaf %d" % n for n in range(count)]
        top = merkle.root(leaves)
        for index in range(count):
            path = merkle.proof(leaves, index)
            merkle.check(leaves[index], index, count, path, top)
            for wrong in (
                (b"other", index, count, path),
                (leaves[index], (index + 1) % count, count, path) if count > 1 else (b"x", 0, 1, path),
                (leaves[index], index, count, path + [bytes(32)]),
                (leaves[index], index, count, path[:-1]) if path else (leaves[index], 1, 1, path),
                (leaves[index], count, count, path),
            ):
                assert raises(ChainError, merkle.check, *wrong + (top,)).field in ("index", "path")


def test_an_inner_node_is_no_leaf():
    leaves = [b"a", b"b", b"c", b"d"]
    top = merkle.root(leaves)
    inner = merkle.leaf_hash(b"a") + merkle.leaf_hash(b"b")
    assert merkle.root([inner, merkle.leaf_hash(b"c") + merkle.leaf_hash(b"d")]) != top


def test_target_is_2_to_the_256_over_the_difficulty():
    assert header.target(2) == b"\x80" + bytes(31)
    assert header.target(3) == (2**256 // 3).to_bytes(32, "big")
    assert header.target(0xFFFFFFFF) == (2**256 // 0xFFFFFFFF).to_bytes(32, "big")
    assert b"\xff" * 32 < header.target(1)


def test_mining_sets_the_last_four_bytes_and_nothing_else():
    data = b"h" * 84 + bytes(4)
    mined = run(pow.mine(data, 64))
    assert mined[:84] == data[:84]
    assert hashlib.sha256(mined).digest() < header.target(64)


def test_mining_gives_way_after_a_fixed_number_of_hashes():
    for hashes in (256, 1024):
        work = pow.mine(bytes(88), 0xFFFFFFFF, 0, hashes)
        tried = count_hashes(work, 3)
        assert tried == 3 * hashes, tried


def count_hashes(work, slices):
    """How many hashes a generator of pow makes in so many slices."""
    counted = [0]
    real = pow.hashlib

    class Counting:
        @staticmethod
        def sha256(data):
            counted[0] += 1
            return real.sha256(data)

    pow.hashlib = Counting
    try:
        for _ in range(slices):
            next(work)
    finally:
        pow.hashlib = real
    return counted[0]


def test_mining_ends_when_no_nonce_is_left():
    start = 0xFFFFFF00  # the last 256 nonces
    assert run(pow.mine(bytes(88), 0xFFFFFFFF, start)) is None
    mined = run(pow.mine(bytes(88), 16, start))
    assert mined is not None and int.from_bytes(mined[-4:], "little") >= start


def test_mining_finds_the_first_nonce_that_works():
    mined = run(pow.mine(bytes(88), 500))
    nonce = int.from_bytes(mined[-4:], "little")
    for lower in range(nonce):
        assert not hashlib.sha256(bytes(84) + lower.to_bytes(4, "little")).digest() < header.target(500)


def test_a_confirmations_work_is_bound_to_join_and_signer():
    join = crypto.sha256(b"join")
    public = b"\x04" + bytes(64)
    nonce = run(pow.confirm(join, public, 5000))
    pow.check_confirmation(join, public, nonce, 5000)
    text = b"fwchain/1 confirm\x00" + join + public + nonce.to_bytes(4, "little")
    assert hashlib.sha256(text).digest() < header.target(5000)
    other = crypto.sha256(b"another join")  # mined before this r was known: its work is worth nothing here
    assert raises(ChainError, pow.check_confirmation, other, public, nonce, 5000).field == "nonce"
    stranger = b"\x04" + b"\x01" * 64
    assert raises(ChainError, pow.check_confirmation, join, stranger, nonce, 5000).field == "nonce"


def test_genesis_is_block_0_and_names_the_network():
    root = crypto.sha256(b"root 1")
    data = genesis.build("home", root, TIME, 1000, 9, False)
    found = genesis.Genesis(data)
    assert (found.name, found.difficulty, found.confirmations, found.certified) == ("home", 1000, 9, False)
    assert found.root_hash == root and found.time == TIME
    assert found.hash == crypto.sha256(found.head) and found.net == found.hash[:8]
    link = found.link()
    assert (link.height, link.hash, link.counter, link.root, link.times) == (0, found.hash, 0, 1, [TIME])
    genesis.Genesis(data, found.hash)
    assert raises(ChainError, genesis.Genesis, data, bytes(32)).field == "genesis"


def test_every_parameter_of_genesis_changes_its_hash():
    root = crypto.sha256(b"root 1")
    base = ["home", root, TIME, 1000, 7, True]
    seen = {genesis.Genesis(genesis.build(*base)).hash}
    for index, other in enumerate(["away", crypto.sha256(b"root 2"), TIME + 1, 1001, 8, False]):
        changed = list(base)
        changed[index] = other
        seen.add(genesis.Genesis(genesis.build(*changed)).hash)
    assert len(seen) == 7


def test_default_confirmations_are_more_than_six():
    assert genesis.CONFIRMATIONS == 7


def test_malformed_genesis():
    data = Network().genesis.data
    for name, value in (("head", bytes(87)), ("t", b"head"), ("f", {"name": b"x"}), ("more", 1)):
        body = decode(data)
        body[name] = value
        raises((ChainError, WireError), genesis.Genesis, encode(body))
    for name, value in (
        ("name", b""),
        ("name", b"with space"),
        ("name", b"x" * 33),
        ("confirmations", 0),
        ("confirmations", 65),
        ("enrolment", b"maybe"),
        ("root", bytes(31)),
    ):
        body = decode(data)
        body["f"][name] = value
        raises((ChainError, WireError), genesis.Genesis, encode(body))
    body = decode(data)
    body["f"]["confirmations"] = 3  # nobody lowers it under the same hash
    assert raises(ChainError, genesis.Genesis, encode(body)).field == "root"
    assert raises(ChainError, genesis.build, "home", bytes(32), TIME, 0).field == "difficulty"
    assert raises(WireError, genesis.build, "two words", bytes(32), TIME)
