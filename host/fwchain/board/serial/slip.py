"""SLIP framing (RFC 1055) as Espressif's serial loader uses it: every frame begins and ends with
END.
"""

from __future__ import annotations

END = 0xC0
ESC = 0xDB
ESC_END = 0xDC
ESC_ESC = 0xDD

MAX_FRAME = 0x10000  # longest decoded frame; a stub takes 0x4000 bytes of data and 24 of headers


def encode(frame: bytes) -> bytes:
    """One frame as it goes over the wire."""
    return b"\xc0" + frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Decoder:
    """Cuts a byte stream into frames; what stands outside a frame, or breaks the escapes, is
    dropped.
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._frame: bytearray | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; returns the frames that they complete (empty frames left
        out).
        """
        frames = []
        parts = data.split(b"\xc0")
        for index, part in enumerate(parts):
            if self._frame is not None:
                self._frame += part
                if len(self._frame) > 2 * self._limit:
                    self._frame = None
            if index == len(parts) - 1:
                break
            if self._frame:
                whole = _unescape(bytes(self._frame))
                if whole is not None and len(whole) <= self._limit:
                    frames.append(whole)
                self._frame = None
            else:
                self._frame = bytearray()
        return frames

    def reset(self) -> None:
        """Forget a frame that has begun."""
        self._frame = None


def _unescape(data: bytes) -> bytes | None:
    if b"\xdb" not in data:
        return data
    head, *rest = data.split(b"\xdb")
    out = bytearray(head)
    for part in rest:
        if part[:1] == b"\xdc":
            out.append(END)
        elif part[:1] == b"\xdd":
            out.append(ESC)
        else:
            return None
        out += part[1:]
    return bytes(out)
