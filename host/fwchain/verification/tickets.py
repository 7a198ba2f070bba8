"""Stateless exchanges: what a verification node must remember of one travels with it, sealed, as a ticket.

Only the processes of one verification node share the key. Its ID stands in clear, and the previous key is still
accepted, so that a key can be changed while exchanges run.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fwnode.trust import Untrusted
from fwnode.wire import WireError
from fwnode.wire.bencode import decode_dict, encode

LIFETIME_S = 600
KEY_LIFE_S = 86400
KEY_BYTES = 32
_ID = 4
_NONCE = 12


@dataclass(frozen=True)
class Ticket:
    """PU and ID of n_i, its model and version, the exchange's r, the k of the message that carries it, expiry."""

    public: bytes
    node: bytes
    model: str
    version: str
    r: int
    k: int
    expires: int


class TicketKeys:
    """Seals and opens tickets with the current key; opens with the previous one too."""

    def __init__(self, current: bytes, previous: bytes | None = None) -> None:
        """Keys of 32 bytes each; raises ValueError."""
        keys = [current] + ([previous] if previous else [])
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"ticket key: {KEY_BYTES} bytes expected")
        self._keys = {self._key_id(key): AESGCM(key) for key in keys}
        self._current = self._key_id(current)

    @staticmethod
    def _key_id(key: bytes) -> bytes:
        # AES-GCM over nothing tells the key apart without telling the key
        return AESGCM(key).encrypt(bytes(_NONCE), b"", b"fwchain/1 ticket key")[:_ID]

    def seal(self, ticket: Ticket) -> bytes:
        """The ticket's bytes as they stand in a message."""
        body = {
            "pu": ticket.public,
            "id": ticket.node,
            "d": ticket.model,
            "v": ticket.version,
            "r": ticket.r,
            "k": ticket.k,
            "exp": ticket.expires,
        }
        nonce = os.urandom(_NONCE)
        return self._current + nonce + self._keys[self._current].encrypt(nonce, encode(body), self._current)

    def open(self, data: bytes, now: float) -> Ticket:
        """The ticket in `data`; raises Untrusted when it is another node's, changed, or older than ten minutes."""
        key = self._keys.get(data[:_ID])
        if key is None:
            raise Untrusted("ticket", "ticket: sealed with a key that this node does not have")
        try:
            plain = key.decrypt(data[_ID : _ID + _NONCE], data[_ID + _NONCE :], data[:_ID])
        except (InvalidTag, ValueError):
            raise Untrusted("ticket", "ticket: does not open") from None
        body: dict[str, Any] = decode_dict(plain, "ticket", 512)
        if now > body["exp"]:
            raise Untrusted("stale", f"ticket: expired at {body['exp']}, now {int(now)}")
        try:
            return Ticket(
                body["pu"], body["id"], body["d"].decode(), body["v"].decode(), body["r"], body["k"], body["exp"]
            )
        except KeyError as error:
            raise WireError(f"ticket: field {error} is missing") from None


class DailyTickets:
    """Tickets under a key that changes every day, the same for every process that has the node's private key."""

    def __init__(self, private: bytes, clock: Callable[[], float] = time.time) -> None:
        self._private = private
        self._clock = clock
        self._day = -1
        self._keys: TicketKeys

    def _current(self) -> TicketKeys:
        day = int(self._clock()) // KEY_LIFE_S
        if day != self._day:
            self._keys = TicketKeys(self._derive(day), self._derive(day - 1))
            self._day = day
        return self._keys

    def _derive(self, day: int) -> bytes:
        return hmac.new(self._private, b"fwchain/1 ticket key %d" % day, hashlib.sha256).digest()

    def seal(self, ticket: Ticket) -> bytes:
        """As TicketKeys.seal, with today's key."""
        return self._current().seal(ticket)

    def open(self, data: bytes, now: float) -> Ticket:
        """As TicketKeys.open, with today's key or yesterday's."""
        return self._current().open(data, now)
