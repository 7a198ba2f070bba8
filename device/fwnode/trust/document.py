"""Signed documents: a bencoded dictionary under a domain of its own, so that no signature serves for two purposes."""

from fwnode.crypto import steps
from fwnode.wire import WireError
from fwnode.wire.message import digest, key_id

INT = 0
BYTES = 1
LIST = 2
DICT = 3
_KINDS: dict = {INT: int, BYTES: bytes, LIST: list, DICT: dict}
_NAMES = ("a number", "a string", "a list", "a dictionary")


def signed_hash(kind: str, body: dict) -> bytes:
    """SHA-256 of what is signed: ``fwchain/1 KIND`` NUL body."""
    return digest(b"fwchain/1 " + kind.encode() + b"\x00", body)


def take(body: dict, where: str, name: str, kind: int, least: int, most: int):  # type: ignore[no-untyped-def]
    """The field `name`, its kind and its size (or value, for a number) checked; raises WireError."""
    value = body.get(name)
    if not isinstance(value, _KINDS[kind]):
        raise WireError("{}: {}: {} expected".format(where, name, _NAMES[kind]))
    size = value if kind == INT else len(value)
    if not least <= size <= most:
        raise WireError("{}: {}: {} is outside {} to {}".format(where, name, size, least, most))
    return value


def take_text(body: dict, where: str, name: str, least: int, most: int) -> str:
    """The field `name` as printable ASCII text; raises WireError."""
    return ascii_text(take(body, where, name, BYTES, least, most), where, name)


def ascii_text(raw: object, where: str, name: str) -> str:
    """`raw` as text when it is printable ASCII without spaces; raises WireError."""
    if not isinstance(raw, bytes):
        raise WireError("{}: {}: a string expected".format(where, name))
    for byte in raw:
        if not 0x21 <= byte < 0x7F:
            raise WireError("{}: {}: byte 0x{:02x} is not printable ASCII".format(where, name, byte))
    return raw.decode()


def only(body: dict, where: str, names: tuple) -> None:
    """Raise WireError when `body` has a field that is not in `names`."""
    for name in body:
        if name not in names:
            raise WireError("{}: field {} does not belong there".format(where, name))


def check_keys(keys: list, where: str, name: str) -> None:
    """Raise WireError unless every entry is an uncompressed P-256 point by its length and prefix."""
    for key in keys:
        if not isinstance(key, bytes) or len(key) != 65 or key[0] != 4:
            raise WireError("{}: {}: a key is not 65 bytes that start with 0x04".format(where, name))


def check_signatures(pairs: list, where: str) -> None:
    """Raise WireError unless `pairs` is a list of [key ID, signature]."""
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise WireError("{}: signatures: [key ID, signature] expected".format(where))
        if not isinstance(pair[0], bytes) or len(pair[0]) != 20:
            raise WireError("{}: signatures: a key ID of 20 bytes expected".format(where))
        if not isinstance(pair[1], bytes) or len(pair[1]) != 64:
            raise WireError("{}: signatures: a signature of 64 bytes expected".format(where))


def count_signers(signed: bytes, pairs: list, keys: list, revoked: list, enough: int):  # type: ignore[no-untyped-def]
    """Steps: how many distinct, unrevoked `keys` signed what has the digest `signed`; stops counting at `enough`."""
    valid = 0
    for public in keys:
        if valid >= enough:
            break
        own = key_id(public)
        if own in revoked:
            continue
        for signer, signature in pairs:
            if signer == own and (yield from steps.verify_digest(public, signed, signature)):
                valid += 1
                break
    return valid
