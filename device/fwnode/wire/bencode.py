"""Bencoding (BEP 3), canonical: what is decoded strictly encodes to the same bytes, so it can be signed.

Python side: dictionary keys are str (ASCII), strings are bytes, numbers are int, lists are list.
"""

from fwnode.wire.decode import MAX_DEPTH, decode, decode_dict
from fwnode.wire.errors import WireError

__all__ = ("MAX_DEPTH", "decode", "decode_dict", "encode", "put", "size")


def encode(value: object) -> bytes:
    """The canonical bencoding of int, bytes, str (as UTF-8), list, tuple or dict; raises WireError on anything else."""
    parts = []  # type: list

    def keep(part) -> None:  # type: ignore[no-untyped-def]
        parts.append(part if isinstance(part, bytes) else bytes(part))

    put(value, keep)
    return b"".join(parts)


def size(value: object) -> int:
    """The length of the encoding, without making it."""
    total = [0]

    def count(part) -> None:  # type: ignore[no-untyped-def]
        total[0] += len(part)

    put(value, count)
    return total[0]


def put(value, write) -> None:  # type: ignore[no-untyped-def]
    """Pass the encoding to `write(part)`, part by part: what is large goes into a file without being held whole."""
    if isinstance(value, bool):
        raise WireError("bencode: a bool has no encoding")
    if isinstance(value, int):
        write(b"i%de" % value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        write(b"%d:" % len(value))
        write(value)
    elif isinstance(value, str):
        put(value.encode(), write)
    elif isinstance(value, (list, tuple)):
        write(b"l")
        for item in value:
            put(item, write)
        write(b"e")
    elif isinstance(value, dict):
        write(b"d")
        for key in sorted(value):
            put(key, write)
            put(value[key], write)
        write(b"e")
    else:
        raise WireError("bencode: {} has no encoding".format(type(value)))
