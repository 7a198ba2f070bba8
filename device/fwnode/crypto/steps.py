"""The public operations as generators, so that an event loop stays alive between point operations.

``signature = yield from steps.sign(key, message)``: arguments, results and errors are those of the
functions of the same name in `fwnode.crypto`.  They yield None after a fixed number of point
operations (on CPython, where `cryptography` does the work, not at all).
"""

from sys import implementation

if implementation.name == "micropython":
    from .pure import ecdh, precompute, public_key, seal, sign, unseal, verify
else:
    from .host import ecdh, precompute, public_key, seal, sign, unseal, verify

__all__ = ("ecdh", "precompute", "public_key", "seal", "sign", "unseal", "verify")
