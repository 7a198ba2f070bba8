"""The public operations in plain Python, as generators that yield between point operations."""

from . import comb, ladder
from .errors import InvalidBox, InvalidKey
from .gcm import Gcm
from .hmac import hmac_sha256, sha256
from .hpke import ENC, TAG, key_schedule
from .p256 import GX, GY, N, P, decode, encode, inverse, random_scalar, scalar

KEYS = 4  # precomputed keys kept, the least recently used dropped first

GTABLE_SHA256 = (
    b"\xc9\xec\x6a\x52\xb8\x9b\xcf\xd6\x46\x24\xe3\xa4\x5a\x5c\x51\xe2"
    b"\x67\x68\xc1\x45\x9b\x1f\x60\x39\x90\x2d\x09\xee\x9c\x80\x2b\xa2"
)

_combs: list = []  # (public key, its comb), the least recently used first
_base: list = []  # the comb of G
_last: list = [b"", b""]  # the private key that was used last, and its public key


def _generator():
    """Generator: return the comb of G; when the table that ships is not the right one, make it."""
    if not _base:
        from .gtable import TABLE

        table = TABLE
        if sha256(table) != GTABLE_SHA256:
            table = yield from comb.build(GX, GY)
        _base.append(comb.Comb(table))
    return _base[0]


def _known(public: bytes):
    """Return the comb kept for a key, or None; mark it as just used."""
    for i, (key, kept) in enumerate(_combs):
        if key == public:
            _combs.append(_combs.pop(i))
            return kept
    return None


def public_key(private: bytes):
    """Generator: return the 65-byte public key; raise InvalidKey."""
    if _last[0] != private:
        d = scalar(private)
        g = yield from _generator()
        ((x, y),) = yield from comb.multiply(d, (g,))
        _last[:] = bytes(private), encode(x, y)
    return _last[1]


def nonces(d: int, digest: bytes):
    """Generator: yield RFC 6979 section 3.2's candidates for k, SHA-256 throughout."""
    seed = d.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    v = b"\1" * 32
    k = hmac_sha256(bytes(32), v + b"\0" + seed)
    v = hmac_sha256(k, v)
    k = hmac_sha256(k, v + b"\1" + seed)
    v = hmac_sha256(k, v)
    while True:
        v = hmac_sha256(k, v)
        t = int.from_bytes(v, "big")
        if 0 < t < N:
            yield t
        k = hmac_sha256(k, v + b"\0")
        v = hmac_sha256(k, v)


def sign(private: bytes, message: bytes):
    """Generator: return r || s, 64 bytes; ECDSA with SHA-256, nonce of RFC 6979."""
    return (yield from sign_digest(private, sha256(message)))


def sign_digest(private: bytes, digest: bytes):
    """Generator: `sign` for what has this SHA-256."""
    d = scalar(private)
    z = int.from_bytes(digest, "big")
    g = yield from _generator()
    for k in nonces(d, digest):
        ((r, _),) = yield from comb.multiply(k, (g,))
        r %= N
        t = random_scalar()
        # (z + r d) / k, with t in every product that holds a secret
        s = inverse(k * t % N, N) * (z * t + r * (d * t % N)) % N
        if r and s:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public: bytes, message: bytes, signature: bytes):
    """Generator: return whether the signature holds; raise InvalidKey."""
    return (yield from verify_digest(public, sha256(message), signature))


def verify_digest(public: bytes, digest: bytes, signature: bytes):
    """Generator: verify (FIPS 186-4 6.4) over a hash of 32 bytes, or the first 32 of a longer."""
    x, y = decode(public)
    if len(signature) != 64:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    s = inverse(s, N)
    u = int.from_bytes(digest, "big") * s % N
    v = r * s % N
    g = yield from _generator()
    kept = _known(public)
    Z = 0
    if kept:
        X, _, Z = yield from comb.multiply_add(u, g, v, kept)
    if not Z:  # no comb kept, or an exceptional case on the way
        X, _, Z = yield from ladder.multiply_add(u, g, v, x, y)
        if not Z:
            return False
    z = Z * Z % P
    # x = X / Z^2 is r or r + n, compared without dividing
    return not (X - r * z) % P or (r + N < P and not (X - (r + N) * z) % P)


def ecdh(private: bytes, public: bytes):
    """Generator: return the shared point's x, 32 bytes (SEC 1 section 3.3.1)."""
    d = scalar(private)
    kept = _known(public)
    if kept:
        ((x, _),) = yield from comb.multiply(d, (kept,))
    else:
        x, _ = yield from ladder.multiply(d, *decode(public))
    return x.to_bytes(32, "big")


def precompute(public: bytes):
    """Generator: keep a comb for the key, which verify, ecdh and seal then use; InvalidKey."""
    if not _known(public):
        x, y = decode(public)
        table = yield from comb.build(x, y)
        if not _known(public):  # another task may have been faster
            _combs.append((bytes(public), comb.Comb(table)))
        if len(_combs) > KEYS:
            _combs.pop(0)


def seal(public: bytes, info: bytes, aad: bytes, plaintext: bytes):
    """Generator: return enc || ciphertext || tag."""
    return (yield from seal_with(random_scalar(), public, info, aad, plaintext))


def seal_with(e: int, public: bytes, info: bytes, aad: bytes, plaintext: bytes):
    """Generator: seal with a given ephemeral scalar e, 0 < e < n (for known answers)."""
    x, y = decode(public)
    kept = _known(public)
    g = yield from _generator()
    if kept:
        q, (x, y) = yield from comb.multiply(e, (g, kept))
    else:
        (q,) = yield from comb.multiply(e, (g,))
        x, y = yield from ladder.multiply(e, x, y)
    enc = encode(*q)
    key, nonce = key_schedule(x.to_bytes(32, "big"), enc, public, info)
    box = bytearray(ENC + len(plaintext) + TAG)
    box[:ENC] = enc
    Gcm(key).seal(nonce, aad, plaintext, memoryview(box)[ENC:])
    return bytes(box)


def unseal(private: bytes, info: bytes, aad: bytes, sealed: bytes):
    """Generator: return the plaintext; raise InvalidKey, InvalidBox."""
    public = yield from public_key(private)
    if len(sealed) < ENC + TAG:
        raise InvalidBox("box: %d bytes are too few" % len(sealed))
    enc = bytes(sealed[:ENC])
    try:
        dh = yield from ecdh(private, enc)
    except InvalidKey as e:
        raise InvalidBox("box: the ephemeral key is not a point") from e
    key, nonce = key_schedule(dh, enc, public, info)
    out = Gcm(key).open(nonce, aad, memoryview(sealed)[ENC:])
    if out is None:
        raise InvalidBox("box: does not open")
    return out
