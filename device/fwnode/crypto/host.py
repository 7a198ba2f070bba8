"""The public operations on CPython: `cryptography`, behind the generators that the board has.

The generators never yield: a whole operation takes less than a board's slice.
"""

from collections.abc import Generator

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .errors import InvalidBox, InvalidKey
from .hmac import sha256
from .hpke import ENC, TAG, key_schedule

_CURVE = ec.SECP256R1()
_SIGN_DIGEST = ec.ECDSA(utils.Prehashed(SHA256()), deterministic_signing=True)
_VERIFY_DIGEST = ec.ECDSA(utils.Prehashed(SHA256()))


def _private(private: bytes) -> ec.EllipticCurvePrivateKey:
    if len(private) != 32:
        raise InvalidKey(f"private key: expected 32 bytes, got {len(private)}")
    try:
        return ec.derive_private_key(int.from_bytes(private, "big"), _CURVE)
    except ValueError as e:
        raise InvalidKey("private key: out of range") from e


def _public(public: bytes) -> ec.EllipticCurvePublicKey:
    if len(public) != 65 or public[0] != 4:
        raise InvalidKey("public key: expected 65 bytes that begin with 04")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, bytes(public))
    except ValueError as e:
        raise InvalidKey("public key: not a point of P-256") from e


def _encode(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def public_key(private: bytes) -> Generator[None, None, bytes]:
    """See fwnode.crypto.public_key."""
    return _encode(_private(private))
    yield


def sign(private: bytes, message: bytes) -> Generator[None, None, bytes]:
    """See fwnode.crypto.sign."""
    return (yield from sign_digest(private, sha256(message)))


def sign_digest(private: bytes, digest: bytes) -> Generator[None, None, bytes]:
    """`sign` for what has this SHA-256."""
    r, s = utils.decode_dss_signature(_private(private).sign(digest, _SIGN_DIGEST))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    yield


def verify(public: bytes, message: bytes, signature: bytes) -> Generator[None, None, bool]:
    """See fwnode.crypto.verify."""
    return (yield from verify_digest(public, sha256(message), signature))


def verify_digest(public: bytes, digest: bytes, signature: bytes) -> Generator[None, None, bool]:
    """`verify` for what has this SHA-256."""
    key = _public(public)
    if len(signature) != 64:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), digest, _VERIFY_DIGEST)
    except InvalidSignature:
        return False
    return True
    yield


def ecdh(private: bytes, public: bytes) -> Generator[None, None, bytes]:
    """See fwnode.crypto.ecdh."""
    key = _private(private)
    return key.exchange(ec.ECDH(), _public(public))
    yield


def precompute(public: bytes) -> Generator[None, None, None]:
    """See fwnode.crypto.precompute: nothing to keep here, but the key is checked."""
    _public(public)
    return
    yield


def seal(public: bytes, info: bytes, aad: bytes, plaintext: bytes) -> Generator[None, None, bytes]:
    """See fwnode.crypto.seal."""
    peer = _public(public)
    ephemeral = ec.generate_private_key(_CURVE)
    enc = _encode(ephemeral)
    key, nonce = key_schedule(ephemeral.exchange(ec.ECDH(), peer), enc, public, info)
    return enc + AESGCM(key).encrypt(nonce, bytes(plaintext), aad)
    yield


def unseal(private: bytes, info: bytes, aad: bytes, sealed: bytes) -> Generator[None, None, bytes]:
    """See fwnode.crypto.unseal."""
    own = _private(private)
    if len(sealed) < ENC + TAG:
        raise InvalidBox(f"box: {len(sealed)} bytes are too few")
    enc = bytes(sealed[:ENC])
    try:
        dh = own.exchange(ec.ECDH(), _public(enc))
    except InvalidKey as e:
        raise InvalidBox("box: the ephemeral key is not a point") from e
    key, nonce = key_schedule(dh, enc, _encode(own), info)
    try:
        return AESGCM(key).decrypt(nonce, bytes(sealed[ENC:]), bytes(aad))
    except InvalidTag as e:
        raise InvalidBox("box: does not open") from e
    yield
