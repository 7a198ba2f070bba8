"""The secure channel between vendor and verification node: mutual TLS, each side pins the other's certificate.

There is no certificate authority: both certificates are self-signed, made by `fwchain init` from the vendor's and the
node's own keys, and each side trusts exactly the one that it was given.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
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


def server(certificate_file: Path, key_file: Path, clients_file: Path) -> ssl.SSLContext:
    """The node's side: takes the vendors' certificates in `clients_file` and no other; raises SetupError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate_file, key_file, clients_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(certificate_file: Path, key_file: Path, server_file: Path) -> ssl.SSLContext:
    """The vendor's side: talks to the node whose certificate is in `server_file` and to no other; raises SetupError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, certificate_file, key_file, server_file)
    context.check_hostname = False  # the pinned certificate says more than a name
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(protocol: int, own: Path, key: Path, pinned: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for path in (own, key, pinned):
        if not path.exists():
            raise SetupError(f"{path}: there is no such file")
    try:
        context.load_cert_chain(own, key)
    except ssl.SSLError:
        raise SetupError(f"{key} is not the key of the certificate {own}") from None
    try:
        context.load_verify_locations(pinned)
    except ssl.SSLError:
        raise SetupError(f"{pinned}: no certificate in PEM form") from None
    return context
