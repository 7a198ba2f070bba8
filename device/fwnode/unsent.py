"""Verification logs that no verification node has taken yet, kept in flash until one does."""

from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode

FILE = "unsent"
MAX = 8  # the newest; the block of a C2-2 holds them besides, and whoever keeps the whole chain has heard them


def read(files) -> list:  # type: ignore[no-untyped-def]
    """The encoded logs, oldest first."""
    raw = files.read(FILE)
    try:
        logs = decode(raw) if raw else []
    except WireError:
        return []
    return logs if isinstance(logs, list) else []


def write(files, logs: list) -> None:  # type: ignore[no-untyped-def]
    """Keep these."""
    if logs:
        files.write(FILE, encode(logs[-MAX:]))
    else:
        files.remove(FILE)


def keep(files, log: bytes) -> None:  # type: ignore[no-untyped-def]
    """One more."""
    write(files, read(files) + [log])
