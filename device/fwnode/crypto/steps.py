"""The public operations as generators, so that an event loop stays alive between point operations.

``signature = yield from steps.sign(key, message)``: arguments, results and errors are those of the
functions of the same name in `fwnode.crypto`; a plaintext may come as a bytearray.
`sign_digest` and `verify_digest` take the message's SHA-256 instead, so that nobody has to hold it
whole.  They yield None after a fixed number of point operations (on CPython, where `cryptography`
does the work, not at all).
"""

from sys import implementation

if implementation.name == "micropython":
    from .pure import (
        ecdh as ecdh,
        precompute as precompute,
        public_key as public_key,
        seal as seal,
        sign as sign,
        sign_digest as sign_digest,
        unseal as unseal,
        verify as verify,
        verify_digest as verify_digest,
    )
else:
    from .host import (
        ecdh as ecdh,
        precompute as precompute,
        public_key as public_key,
        seal as seal,
        sign as sign,
        sign_digest as sign_digest,
        unseal as unseal,
        verify as verify,
        verify_digest as verify_digest,
    )
