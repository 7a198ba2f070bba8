"""Memory of recalled releases (design, addition 13): refused from then on, not seeded, not handed on.

One blob in NVS, 17 bytes a release: the first 16 of its verifier, and 1 when the vendor recalled it, 0 when the
verification nodes did. fwnode.checking_news writes it.
"""

from fwnode.compat import const

NAME = "rec"
_ROW = const(17)


def rows(keys) -> list:  # type: ignore[no-untyped-def]
    """The rows, newest last."""
    raw = keys.get(NAME) or b""
    return [raw[at : at + _ROW] for at in range(0, len(raw) - _ROW + 1, _ROW)]


def recalled(keys, verifier: bytes) -> bool:  # type: ignore[no-untyped-def]
    """Whether the release with this verifier is not to be installed, seeded, or handed to anybody."""
    return any(row[:16] == verifier[:16] for row in rows(keys))
