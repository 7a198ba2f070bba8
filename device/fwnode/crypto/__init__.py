"""Elliptic curves and sealing, one small face on both interpreters.

Keys, points, signatures and boxes are bytes: a private key 32, a public key 65 (uncompressed
point of P-256), a signature 64 (r || s).  On MicroPython the work is done in plain Python, on
CPython by `cryptography`.  Each function runs its generator in `steps` to the end; an event loop
uses those directly.  For any bytes given, nothing but InvalidKey and InvalidBox is raised.
"""

from . import steps
from .errors import InvalidBox, InvalidKey
from .hmac import equal, hmac_sha256, sha256
from .p256 import random_scalar

__all__ = (
    "InvalidBox",
    "InvalidKey",
    "ecdh",
    "equal",
    "generate_key",
    "hmac_sha256",
    "precompute",
    "public_key",
    "seal",
    "sha256",
    "sign",
    "unseal",
    "use_machine_code",
    "verify",
)


def generate_key() -> bytes:
    """Return a new private key: 32 bytes, 1 to n-1, uniform."""
    return random_scalar().to_bytes(32, "big")


def _finish(work):  # type: ignore[no-untyped-def]
    """Run a generator to its end and return what it returns."""
    try:
        while True:
            next(work)
    except StopIteration as e:
        return e.value


def public_key(private: bytes) -> bytes:
    """Return the public key of a private key; raise InvalidKey."""
    return _finish(steps.public_key(private))


def sign(private: bytes, message: bytes) -> bytes:
    """Return the ECDSA signature (SHA-256, deterministic by RFC 6979); raise InvalidKey."""
    return _finish(steps.sign(private, message))


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the signature holds; a malformed one is False; raise InvalidKey."""
    return _finish(steps.verify(public, message, signature))


def ecdh(private: bytes, public: bytes) -> bytes:
    """Return the shared secret: the x coordinate, 32 bytes (SEC 1 3.3.1); raise InvalidKey."""
    return _finish(steps.ecdh(private, public))


def seal(public: bytes, info: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Return enc || ciphertext || tag, 81 bytes more than plaintext (RFC 9180, mode base).

    DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, single shot.  Raise InvalidKey.
    """
    return _finish(steps.seal(public, info, aad, plaintext))


def unseal(private: bytes, info: bytes, aad: bytes, sealed: bytes) -> bytes:
    """Return the plaintext of a sealed box; raise InvalidBox when it does not open, InvalidKey."""
    return bytes(_finish(steps.unseal(private, info, aad, sealed)))


def precompute(public: bytes) -> None:
    """Keep a comb for a public key that is used often, which makes verify, ecdh and seal faster.

    Takes about one `ecdh`, and 2.5 KiB while kept; the least recently used of more than four is
    dropped.  Raise InvalidKey.
    """
    _finish(steps.precompute(public))


def use_machine_code() -> bool:
    """Compile the curves' inner loops on this board, where that is safe; return whether they are used now.

    Takes 24 KB of heap for a moment; what was compiled goes when fwnode.crypto is unloaded. `make deploy` brings what
    it takes to a board whose application (`APP=folder`) names this function; else it returns False.
    """
    try:
        from .native import enable
    except ImportError:
        return False
    return enable()
