"""Messages made readable: each field by its name, sealed ones opened where one of the keys at hand opens them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from fwnode.compat import run
from fwnode.crypto import InvalidBox, InvalidKey
from fwnode.errors import FwError
from fwnode.roles.peers import unpack
from fwnode.trust.cert import Certificate
from fwnode.trust.issue import unpack_recalls
from fwnode.trust.release import Release
from fwnode.wire import WireError, message

MEANINGS = {
    "t": "type",
    "net": "network",
    "from": "from",
    "to": "to",
    "r": "r + k",
    "ts": "time",
    "d": "model D",
    "v": "version",
    "h": "verifier",
    "id": "ID",
    "m": "M",
    "l": "L",
    "req": "request ID",
    "res": "response ID",
    "o": "outcome",
    "cert": "certificate",
    "pu": "PU",
    "port": "port",
    "ticket": "ticket",
    "root": "trust root",
    "recall": "recalled",
}
_TEXT = ("t", "d", "v", "o")
_FIRST = ("t", "from", "to", "net", "r")  # the envelope stands first, the rest as in the message
_SHORT = 12  # bytes of a hash or key that are shown


def fields(
    data: bytes, privates: Iterable[bytes] = (), known: dict[str, Any] | None = None
) -> tuple[dict[str, str], dict[str, str] | None]:
    """(clear fields, sealed fields or None when no key opens the box); raises WireError.

    `known` is what the box holds, where the one who sealed it tells.
    """
    parsed = message.parse(data)
    order = [key for key in (*_FIRST, *(key for key in parsed if key not in _FIRST)) if key not in ("box", "sig")]
    clear = {_name(key): _value(key, parsed[key]) for key in order}
    sealed = known or _opened(parsed, privates) if "box" in parsed else {}
    shown = None if sealed is None else {_name(key): _value(key, value) for key, value in sealed.items()}
    return clear, shown


def _opened(parsed: dict[str, Any], privates: Iterable[bytes]) -> dict[str, Any] | None:
    for private in privates:
        try:
            sealed: dict[str, Any] = run(message.unseal(private, parsed))
        except (InvalidBox, InvalidKey, WireError):
            continue
        return sealed
    return None


def text(data: bytes, direction: str, privates: Iterable[bytes] = (), known: dict[str, Any] | None = None) -> str:
    """Lines for a person: type and size first, then a field a line, sealed ones in brackets as in the design."""
    try:
        clear, sealed = fields(data, privates, known)
    except FwError as error:
        return f"{direction} malformed message of {len(data)} bytes: {error}"
    kind = clear.pop("type")
    lines = [f"{direction} {kind}  {len(data)} bytes"]
    lines += [f"    {name:12} {value}" for name, value in clear.items() if value]
    if sealed is None:
        lines.append("    [sealed for another key]")
    else:
        lines += [f"  [ {name:12} {value} ]" for name, value in sealed.items()]
    return "\n".join(lines)


def _name(key: str) -> str:
    return MEANINGS.get(key, key)


def _value(key: str, value: Any) -> str:
    if key in _TEXT:
        return str(value.decode("ascii", "replace"))
    if key == "m":
        return _release(value)
    if key == "cert":
        certificate = Certificate(value)
        return (
            f"model {certificate.model}, key {certificate.key_id.hex()[:_SHORT]}…, expires {_time(certificate.expires)}"
        )
    if key == "ts":
        return _time(value) if value else "not known"
    if key == "recall":
        return ", ".join(f"{one.model} {one.version}" for one in unpack_recalls(value))
    if key == "l":
        peers = unpack(value, value.get("info-hash", b""))
        return (
            ", ".join(f"{ip}:{port}{'' if complete else ' (incomplete)'}" for ip, port, complete in peers) or "nobody"
        )
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 20 else f"{value[:_SHORT].hex()}… ({len(value)} bytes)"
    return str(value)


def _time(seconds: int) -> str:
    """Seconds since 1970 as a date (UTC), and as they stand in the message."""
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} ({seconds})"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _release(metainfo: bytes) -> str:
    if not metainfo:
        return "none"
    release = Release(metainfo)
    return f"{release.model} {release.version}, verifier {release.verifier[:_SHORT].hex()}…, {release.size} bytes"
