"""The envelope of every message: one canonical bencoded dictionary, sealed with HPKE and signed with ECDSA.

`sig` covers ``fwchain/1`` NUL and the message without `sig`: type, network, both IDs, r and every other field.
`box` holds what the paper encrypts, sealed to the receiver's key with the rest of the message as associated data.
What does elliptic curves is a generator of steps (see fwnode.crypto.steps).
"""

import hashlib

from fwnode.crypto import InvalidBox, sha256, steps
from fwnode.wire.bencode import decode_dict, encode, put
from fwnode.wire.errors import WireError
from fwnode.wire.fields import ENVELOPE, MAX_MESSAGE, R_SPAN, check_shape, shape

SIGN_PREFIX = b"fwchain/1\x00"
INFO_PREFIX = b"fwchain/1 "


def next_r(r: int, k: int) -> int:
    """r + k as the exchange counts it (mod 2^63)."""
    return (r + k) % R_SPAN


def node_id(public: bytes, r: int) -> bytes:
    """A normal node's ID in the exchange of `r` (paper 3.1: random, unique, made from the public key)."""
    return sha256(public + r.to_bytes(8, "big"))[:20]


def key_id(public: bytes) -> bytes:
    """The lasting ID of a key: a verification node's, a vendor's, an enrolment key's."""
    return sha256(public)[:20]


def new(kind: str, net: bytes, sender: bytes, to: bytes, r: int) -> dict:
    """A message of type `kind` with its envelope but neither box nor signature."""
    return {"t": kind.encode(), "net": net, "from": sender, "to": to, "r": r}


def kind_of(message: dict) -> str:
    """The message's type, by its paper name."""
    return message["t"].decode()


def digest(prefix: bytes, body) -> bytes:  # type: ignore[no-untyped-def]
    """SHA-256 of `prefix` and the encoding of `body`, which is hashed part by part and never held whole."""
    whole = hashlib.sha256(prefix)
    put(body, whole.update)
    return whole.digest()


def _without(message: dict, *names: str) -> dict:
    return {key: value for key, value in message.items() if key not in names}


def _signed(message: dict) -> bytes:
    """The digest that `sig` signs."""
    return digest(SIGN_PREFIX, _without(message, "sig"))


def _aad(message: dict) -> bytes:
    return encode(_without(message, "box", "sig"))


def sign(private: bytes, message: dict):  # type: ignore[no-untyped-def]
    """Steps: put `sig` into the message and return it encoded; raises WireError when it breaks its type's limits."""
    message["sig"] = yield from steps.sign_digest(private, _signed(message))
    _check(message)
    data = encode(message)
    if len(data) > MAX_MESSAGE:
        raise WireError("message: {} bytes, limit {}".format(len(data), MAX_MESSAGE))
    return data


def seal(public: bytes, message: dict, sealed: dict):  # type: ignore[no-untyped-def]
    """Steps: put `sealed`, which is emptied, into the message's box for the owner of `public`."""
    kind = message["t"]
    _, _, must, may = shape(kind.decode())
    check_shape(sealed, must, may, "box")
    plain = encode(sealed)
    sealed.clear()  # M would be held twice
    message["box"] = yield from steps.seal(public, INFO_PREFIX + kind, _aad(message), plain)


def parse(data: bytes) -> dict:
    """The message in `data`, its shape checked, its signature not; raises WireError. Its box stays where it is, in
    `data`: a memoryview.
    """
    message = decode_dict(data, "message", MAX_MESSAGE, "box")
    _check(message)
    return message


def _check(message: dict) -> None:
    raw = message.get("t")
    if not isinstance(raw, bytes):
        raise WireError("message: field t is missing")
    try:
        kind = raw.decode()
        must, may, sealed, _ = shape(kind)
    except (UnicodeError, KeyError):
        raise WireError("t: unknown type {!r}".format(raw[:24]))
    must += ENVELOPE
    if sealed:
        must.append("box")
    check_shape(message, must, may, kind)
    if len(message["to"]) not in (0, 20):
        raise WireError("to: {} bytes, either 0 or 20".format(len(message["to"])))


def verify(message: dict, public: bytes):  # type: ignore[no-untyped-def]
    """Steps: whether `sig` is the signature of the owner of `public`; raises InvalidKey."""
    return (yield from steps.verify_digest(public, _signed(message), message["sig"]))


def unseal(private: bytes, message: dict):  # type: ignore[no-untyped-def]
    """Steps: the sealed fields, their shape checked, r equal to the clear one; raises InvalidBox or WireError."""
    kind = message["t"]
    plain = yield from steps.unseal(private, INFO_PREFIX + kind, _aad(message), message["box"])
    sealed = decode_dict(plain, "box", MAX_MESSAGE)
    _, _, must, may = shape(kind.decode())
    check_shape(sealed, must, may, "box")
    if sealed["r"] != message["r"]:
        raise InvalidBox("box: its r is not the message's")
    return sealed
