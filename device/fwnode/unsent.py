"""Verification logs that no verification node has taken yet, kept in flash until one does; and which ones are to be
proven (fwnode.proofs).
"""

from fwnode.crypto import sha256
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode

FILE = "unsent"
MAX = 8  # the newest; the block of a C2-2 holds them besides, and whoever keeps the whole chain has heard them
PENDING = "pending"  # SHA-256 of each log that is not proven yet, oldest first
MAX_PENDING = 8


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


def expect(files, log: bytes) -> None:  # type: ignore[no-untyped-def]
    """This log, as it was told, shall stand in the chain: its proof is to be had."""
    pending = (files.read(PENDING) or b"") + sha256(log)
    files.write(PENDING, pending[-32 * MAX_PENDING :])
