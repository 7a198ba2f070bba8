"""The board's code against `cryptography`, both ways, on random and on awkward input.

`hypothesis` drives the pure code on CPython; MicroPython gets cases by the hundred.  Thousands of
cases in all; `tests/interop` has several times as many.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import crypto_vectors as cv
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from fwnode import crypto
from fwnode.crypto import pure
from fwnode.crypto.gcm import Gcm

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CURVE = ec.SECP256R1()
EXAMPLES = int(os.environ.get("CRYPTO_EXAMPLES", "300"))

# Scalars near what splits, carries and signs: the ends, powers of two, runs of ones, halves.
_edges = [1, 2, 3, N - 1, N - 2, N // 2, N // 2 + 1, 2**255, 2**255 - 1, 2**128, 2**26, 2**40, 2**41 - 1]
scalars = (
    st.integers(1, N - 1)
    | st.sampled_from(_edges)
    | st.integers(0, 255).map(lambda n: 2**n)
    | st.integers(1, 255).map(lambda n: 2**n - 1)
    | st.integers(1, 1000)
    | st.integers(1, 1000).map(lambda n: N - n)
)
texts = st.binary(max_size=300)
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None)


def run(work: object) -> object:
    """Run a generator to its end."""
    return crypto._finish(work)


def key_of(d: int) -> tuple[bytes, ec.EllipticCurvePrivateKey, bytes]:
    """The private key as bytes, as cryptography's, and its public key as bytes."""
    key = ec.derive_private_key(d, CURVE)
    return d.to_bytes(32, "big"), key, public_of(key)


def public_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The uncompressed public key."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def raw(der: bytes) -> bytes:
    """r || s of a DER signature."""
    r, s = utils.decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def accepts(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether cryptography accepts r || s."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public)
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@SETTINGS
@given(scalars, texts)
def test_sign_and_public_key(d: int, message: bytes) -> None:
    private, key, public = key_of(d)
    assert run(pure.public_key(private)) == public
    signature = run(pure.sign(private, message))
    assert signature == crypto.sign(private, message)  # both follow RFC 6979
    key.public_key().verify(
        utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")),
        message,
        ec.ECDSA(SHA256()),
    )


@SETTINGS
@given(scalars, texts, st.booleans(), st.none() | st.tuples(st.integers(0, 511), texts))
def test_verify(d: int, message: bytes, kept: bool, damage: tuple[int, bytes] | None) -> None:
    _, key, public = key_of(d)
    signature = raw(key.sign(message, ec.ECDSA(SHA256())))
    if damage:
        bit, text = damage
        bad = int.from_bytes(signature, "big") ^ 1 << bit
        signature = bad.to_bytes(64, "big") if bit & 1 else signature
        message = message if bit & 1 else text
    if kept:
        run(pure.precompute(public))
    expected = accepts(public, message, signature)
    assert run(pure.verify(public, message, signature)) is expected
    assert crypto.verify(public, message, signature) is expected


@SETTINGS
@given(scalars, st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1), st.booleans())
def test_verify_of_any_r_and_s(d: int, r: int, s: int, kept: bool) -> None:
    public = key_of(d)[2]
    if kept:
        run(pure.precompute(public))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert run(pure.verify(public, b"m", signature)) is accepts(public, b"m", signature)


@SETTINGS
@given(scalars, scalars, st.booleans())
def test_ecdh(a: int, b: int, kept: bool) -> None:
    private, key, _ = key_of(a)
    _, peer, public = key_of(b)
    if kept:
        run(pure.precompute(public))
    expected = key.exchange(ec.ECDH(), peer.public_key())
    assert run(pure.ecdh(private, public)) == expected == crypto.ecdh(private, public)


@SETTINGS
@given(st.binary(min_size=64, max_size=64) | scalars.map(lambda d: key_of(d)[2][1:]), st.integers(0, 600))
def test_any_point(point: bytes, bit: int) -> None:
    if bit < 512:
        point = (int.from_bytes(point, "big") ^ 1 << bit).to_bytes(64, "big")
    public = b"\4" + point
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public)
        good = True
    except ValueError:
        good = False
    for ecdh in (lambda: run(pure.ecdh(bytes(31) + b"\1", public)), lambda: crypto.ecdh(bytes(31) + b"\1", public)):
        try:
            assert ecdh() == public[1:33]
            assert good
        except crypto.InvalidKey:
            assert not good


@SETTINGS
@given(scalars, texts, texts, texts, st.booleans())
def test_hpke(d: int, info: bytes, aad: bytes, plain: bytes, kept: bool) -> None:
    private, key, public = key_of(d)
    if kept:
        run(pure.precompute(public))
    box = run(pure.seal(public, info, aad, plain))
    assert crypto.unseal(private, info, aad, box) == plain
    assert run(pure.unseal(private, info, aad, crypto.seal(public, info, aad, plain))) == plain
    # cryptography's own HPKE, which has no aad
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    box = run(pure.seal(public, info, b"", plain))
    assert suite.decrypt(box, key, info) == plain
    box = suite.encrypt(plain, key.public_key(), info)
    assert run(pure.unseal(private, info, b"", box)) == plain
    assert crypto.unseal(private, info, b"", box) == plain


@SETTINGS
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=12, max_size=12), texts, texts)
def test_gcm(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> None:
    sealed = AESGCM(key).encrypt(nonce, plain, aad)
    box = bytearray(len(sealed))
    Gcm(key).seal(nonce, aad, plain, memoryview(box))
    assert box == sealed
    assert Gcm(key).open(nonce, aad, sealed) == plain


def test_the_counter_wraps() -> None:
    """SP 800-38D: the counter has 32 bits and does not carry into the nonce."""
    key, top = os.urandom(16), os.urandom(12)
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    blocks = [top + n.to_bytes(4, "big") for n in (2**32 - 1, 0, 1)]
    stream = b"".join(ecb.update(block) for block in blocks)
    out = bytearray(48)
    Gcm(key)._crypt(top + (2**32 - 2).to_bytes(4, "big"), bytes(48), out)
    assert out == stream


def host_made(cases: int, seed: int) -> list[str]:
    """Lines of what cryptography made, for the board's code to accept or refuse."""
    rng = random.Random(seed)
    lines = []
    for n in range(cases):
        private, key, public = key_of(rng.randrange(1, N))
        other, peer, peer_public = key_of(rng.randrange(1, N))
        message, info = rng.randbytes(rng.randrange(200)), rng.randbytes(rng.randrange(40))
        signature = raw(key.sign(message, ec.ECDSA(SHA256())))
        secret = key.exchange(ec.ECDH(), peer.public_key())
        if n % 4 == 0:
            lines.append(cv.line("precompute", public, None))
        lines += [
            cv.line("public_key", private, public),
            cv.line("sign", private, message, crypto.sign(private, message)),
            cv.line("verify", public, message, signature, True),
            cv.line("verify", public, message + b"x", signature, False),
            cv.line("ecdh", other, public, secret),
            cv.line("unseal", private, info, message, crypto.seal(public, info, message, info), info),
            cv.line("unseal", other, info, message, crypto.seal(public, info, message, info), "InvalidBox"),
            cv.line("box", private, public, info, message, info, info),
        ]
        assert len(peer_public) == 65
    return lines


# Prints cases that the board's code made: private, public, message, signature, peer, secret, box.
MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from os import urandom
from binascii import hexlify
from fwnode import crypto
for n in range(int(sys.argv[2])):
    key = crypto.generate_key()
    public = crypto.public_key(key)
    other = crypto.generate_key()
    peer = crypto.public_key(other)
    message = urandom(urandom(1)[0])
    if n % 4 == 0:
        crypto.precompute(peer)
    row = (key, public, message, crypto.sign(key, message), other, peer, crypto.ecdh(key, peer),
           crypto.seal(peer, message[:20], message, message[20:]))
    print(" ".join([hexlify(x).decode() or "-" for x in row]))
"""


def board_made(tmp_path: Path, cases: int) -> int:
    """Check with cryptography what MicroPython made; return how many cases there were."""
    script = tmp_path / "make.py"
    script.write_text(MAKE)
    done = subprocess.run(
        [*cv.micropython(), str(script), str(cv.ROOT / "device"), str(cases)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    rows = done.stdout.splitlines()
    for row in rows:
        key, public, message, signature, other, peer, secret, box = (
            b"" if x == "-" else bytes.fromhex(x) for x in row.split()
        )
        own = ec.derive_private_key(int.from_bytes(key, "big"), CURVE)
        assert public_of(own) == public
        assert accepts(public, message, signature)
        assert signature == crypto.sign(key, message)
        assert crypto.ecdh(other, public) == secret
        assert crypto.unseal(other, message[:20], message, box) == message[20:]
        assert crypto.public_key(other) == peer
    return len(rows)


def test_what_the_host_made_on_micropython(tmp_path: Path) -> None:
    lines = host_made(100, seed=random.randrange(2**32))
    assert sum(cv.check(tmp_path, lines).values()) == len(lines) >= 825


def test_what_micropython_made_on_the_host(tmp_path: Path) -> None:
    assert board_made(tmp_path, 200) == 200
