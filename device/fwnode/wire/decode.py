"""Bencoding (BEP 3), read: see fwnode.wire.bencode, which has it, too. A board reads always and writes rarely."""

from fwnode.compat import const
from fwnode.wire.errors import WireError

MAX_DEPTH = const(6)
_MAX_DIGITS = const(20)  # 2^64 has twenty


def decode(data: bytes, strict: bool = True, view: str = "") -> object:
    """The value of exactly `data`; raises WireError with the offset of what is wrong.

    With `strict` false, dictionary keys may be out of order (foreign trackers send such), never twice. A string under
    the key `view` is not copied out of `data`: it comes as a memoryview.
    """
    decoder = _Decoder(data, strict, view)
    value = decoder.value(0)
    if decoder.at != len(data):
        raise WireError("bencode: {} bytes after the end, at {}".format(len(data) - decoder.at, decoder.at))
    return value


def decode_dict(data: bytes, name: str, limit: int, view: str = "") -> dict:
    """Decode a dictionary of at most `limit` bytes; `name` says in errors what it is; `view` as in `decode`."""
    if len(data) > limit:
        raise WireError("{}: {} bytes, limit {}".format(name, len(data), limit))
    value = decode(data, True, view)
    if not isinstance(value, dict):
        raise WireError("{}: a dictionary expected, got {}".format(name, type(value).__name__))
    return value


class _Decoder:
    def __init__(self, data: bytes, strict: bool, view: str) -> None:
        self.data = data
        self.strict = strict
        self.view = view
        self.at = 0

    def fail(self, what: str) -> WireError:
        return WireError("bencode: {} at {}".format(what, self.at))

    def value(self, depth: int):  # type: ignore[no-untyped-def]
        if depth > MAX_DEPTH:
            raise self.fail("nested deeper than {}".format(MAX_DEPTH))
        first = self.first()
        if first == 0x69:  # i
            self.at += 1
            return self.number(0x65)
        if 0x30 <= first <= 0x39:
            return self.string()
        if first == 0x6C:  # l
            return self.list(depth)
        if first == 0x64:  # d
            return self.dict(depth)
        raise self.fail("byte 0x{:02x} starts no value".format(first))

    def first(self) -> int:
        if self.at >= len(self.data):
            raise self.fail("data ends where a value is expected")
        return self.data[self.at]

    def number(self, end: int) -> int:
        start = self.at
        data = self.data
        limit = min(len(data), start + _MAX_DIGITS + 2)
        at = start
        while at < limit and data[at] != end:
            at += 1
        if at == limit:
            raise self.fail("number without an end within {} digits".format(_MAX_DIGITS))
        digits = bytes(data[start:at])
        self.at = at + 1
        body = digits[1:] if digits[:1] == b"-" and end == 0x65 else digits
        if not body or not body.isdigit() or (body[0] == 0x30 and (len(body) > 1 or len(digits) > 1)):
            self.at = start
            raise self.fail("number {!r} is not canonical".format(digits))
        return int(digits)

    def string(self, view: bool = False):  # type: ignore[no-untyped-def]
        size = self.number(0x3A)
        end = self.at + size
        if end > len(self.data):
            raise self.fail("string of {} bytes runs past the end".format(size))
        value = memoryview(self.data)[self.at : end]
        self.at = end
        return value if view else bytes(value)

    def list(self, depth: int) -> list:
        self.at += 1
        items = []
        while not self.ended():
            items.append(self.value(depth + 1))
        return items

    def dict(self, depth: int) -> dict:
        self.at += 1
        items = {}  # type: dict
        last = None
        while not self.ended():
            if not 0x30 <= self.data[self.at] <= 0x39:
                raise self.fail("dictionary key that is not a string")
            raw = self.string()
            if last is not None and (raw == last or (self.strict and raw < last)):
                raise self.fail("dictionary key {!r} out of order or twice".format(raw))
            last = raw
            key = self.key(raw)
            if key in items:
                raise self.fail("dictionary key {!r} twice".format(raw))
            if key == self.view and 0x30 <= self.first() <= 0x39:
                items[key] = self.string(True)
            else:
                items[key] = self.value(depth + 1)
        return items

    def key(self, raw: bytes) -> str:
        for byte in raw:
            if not 0x20 <= byte < 0x7F:
                raise self.fail("dictionary key {!r} is not ASCII".format(raw))
        return raw.decode()

    def ended(self) -> bool:
        if self.at >= len(self.data):
            raise self.fail("list or dictionary without an end")
        if self.data[self.at] == 0x65:
            self.at += 1
            return True
        return False
