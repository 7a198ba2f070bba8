"""Private keys on disk: PEM, PKCS #8, P-256, readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fwchain.errors import SetupError

MODE = 0o600


def to_key(private: bytes) -> ec.EllipticCurvePrivateKey:
    """The key object of a private key of 32 bytes."""
    return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())


def save(path: Path, private: bytes) -> None:
    """Write a private key (32 bytes) to a new file of mode 0600; raises FileExistsError."""
    data = to_key(private).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def load(path: Path) -> bytes:
    """The private key (32 bytes) of a PEM file; raises SetupError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise SetupError(f"{path}: there is no such key file") from None
    except TypeError:
        raise SetupError(f"{path}: the key is encrypted; fwchain reads unencrypted PKCS #8") from None
    except ValueError:
        raise SetupError(f"{path}: no private key in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SetupError(f"{path}: the key is not a P-256 key")
    return key.private_numbers().private_value.to_bytes(32, "big")


def public(path: Path) -> bytes:
    """The public key (65 bytes, uncompressed) of a PEM file that holds it or its private key; raises SetupError."""
    try:
        data = path.read_bytes()
        if b"-BEGIN PUBLIC KEY-" not in data:
            key: object = to_key(load(path)).public_key()
        else:
            key = serialization.load_pem_public_key(data)
    except (FileNotFoundError, ValueError):
        raise SetupError(f"{path}: no key in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SetupError(f"{path}: the key is not a P-256 key")
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def save_public(path: Path, private: bytes) -> None:
    """Write the public key of a private one (32 bytes) to a PEM file, for those who only have to know it."""
    path.write_bytes(
        to_key(private)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
