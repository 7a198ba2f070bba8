"""Bencode, and the messages with their envelope (design: the messages)."""

from fwnode.wire.errors import WireError

__all__ = ["WireError"]
