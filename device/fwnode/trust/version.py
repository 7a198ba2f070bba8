"""Firmware versions: three numbers, compared as numbers."""

from fwnode.wire import WireError

MAX_PART = 65535


def parse(text: object) -> tuple:
    """(major, minor, patch) of "1.2.0", given as str or bytes; raises WireError."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeError:
            raise WireError("version: not ASCII")
    if not isinstance(text, str):
        raise WireError("version: a string expected")
    parts = text.split(".")
    if len(parts) != 3:
        raise WireError("version: {!r} is not three numbers with dots between".format(text[:24]))
    numbers = []
    for part in parts:
        if not part.isdigit() or len(part) > 5 or (part[0] == "0" and len(part) > 1) or int(part) > MAX_PART:
            raise WireError("version: {!r} is not a number of 0 to {}".format(part[:8], MAX_PART))
        numbers.append(int(part))
    return tuple(numbers)
