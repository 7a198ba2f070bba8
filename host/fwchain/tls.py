"""The secure channel between vendor and verification node: mutual TLS, each side pins the other's certificate.

There is no certificate authority: both certificates are self-signed, made by `fwchain init` from the vendor's and the
node's own keys, and each side trusts exactly the one that it was given.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fwchain import keyfile
from fwchain.errors import SetupError

YEARS = 20


def certificate(private: bytes, name: str, address: str, now: int) -> bytes:
    """A self-signed certificate (PEM) of a private key (32 bytes), for `address`, from `now` (seconds since 1970)."""
    key = keyfile.to_key(private)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(days=1))
        .not_valid_after(start + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(address)]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def public_keys(path: Path) -> list[bytes]:
    """The public keys (65 bytes each) of the certificates in a PEM file, in its order; raises SetupError."""
    return [point for point, _ in _certificates(path)]


def _certificates(path: Path) -> list[tuple[bytes, str]]:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        raise SetupError(f"{path}: there is no such file") from None
    except ValueError:
        raise SetupError(f"{path}: no certificate in PEM form") from None
    pairs = []
    for one in found:
        key = one.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise SetupError(f"{path}: a certificate's key is not a P-256 key")
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        pairs.append((point, one.public_bytes(serialization.Encoding.PEM).decode()))
    return pairs


def server(
    certificate_file: Path, key_file: Path, clients_file: Path, refused: Callable[[bytes], bool] = lambda key: False
) -> ssl.SSLContext:
    """The node's side: takes the vendors' certificates in `clients_file` and no other; raises SetupError.

    A certificate whose public key (65 bytes) is `refused` is left out.
    """
    taken = [text for point, text in _certificates(clients_file) if not refused(point)]
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate_file, key_file, "".join(taken))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(certificate_file: Path, key_file: Path, server_file: Path) -> ssl.SSLContext:
    """The vendor's side: talks to the node whose certificate is in `server_file` and to no other; raises SetupError."""
    pinned = "".join(text for _, text in _certificates(server_file))
    context = _context(ssl.PROTOCOL_TLS_CLIENT, certificate_file, key_file, pinned)
    context.check_hostname = False  # the pinned certificate says more than a name
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(protocol: int, own: Path, key: Path, pinned: str) -> ssl.SSLContext:
    """`pinned` holds certificates in PEM form; with none of them nobody gets through."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for path in (own, key):
        if not path.exists():
            raise SetupError(f"{path}: there is no such file")
    try:
        context.load_cert_chain(own, key)
    except ssl.SSLError:
        raise SetupError(f"{key} is not the key of the certificate {own}") from None
    if pinned:
        context.load_verify_locations(cadata=pinned)
    return context
