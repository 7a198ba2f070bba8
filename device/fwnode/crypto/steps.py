"""The public operations as generators, so that an event loop stays alive between point operations.

``signature = yield from steps.sign(key, message)``: arguments, results and errors are those of the
functions of the same name in `fwnode.crypto`; a plaintext may come as a bytearray.
`sign_digest` and `verify_digest` take the message's SHA-256 instead, so that nobody has to hold it
whole.  They yield None after a fixed number of point operations (on CPython, where `cryptography`
does the work, not at all).
"""

from sys import implementation

if implementation.name == "micropython":
    from . import pure as _code
else:
    from . import host as _code  # type: ignore[no-redef]

ecdh = _code.ecdh
precompute = _code.precompute
public_key = _code.public_key
seal = _code.seal
sign = _code.sign
sign_digest = _code.sign_digest
unseal = _code.unseal
verify = _code.verify
verify_digest = _code.verify_digest
