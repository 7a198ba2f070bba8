"""HPKE (RFC 9180), base mode, single shot: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.

A sealed box is enc (65 bytes), ciphertext, tag (16 bytes).
"""

from .hmac import expand, hmac_sha256

ENC = 65
TAG = 16
_KEM = b"KEM\x00\x10"
_SUITE = b"HPKE\x00\x10\x00\x01\x00\x01"


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    """LabeledExtract, RFC 9180 section 4."""
    return hmac_sha256(salt, b"HPKE-v1" + suite + label + ikm)


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand, RFC 9180 section 4."""
    return expand(prk, bytes((0, length)) + b"HPKE-v1" + suite + label + info, length)


def key_schedule(dh: bytes, enc: bytes, public: bytes, info: bytes) -> tuple:
    """Return (key, nonce) from the Diffie-Hellman secret (sections 4.1 and 5.1, mode base)."""
    secret = _extract(_KEM, b"", b"eae_prk", dh)
    secret = _expand(_KEM, secret, b"shared_secret", enc + public, 32)
    context = b"\0" + _extract(_SUITE, b"", b"psk_id_hash", b"") + _extract(_SUITE, b"", b"info_hash", info)
    secret = _extract(_SUITE, secret, b"secret", b"")
    return (
        _expand(_SUITE, secret, b"key", context, 16),
        _expand(_SUITE, secret, b"base_nonce", context, 12),
    )
