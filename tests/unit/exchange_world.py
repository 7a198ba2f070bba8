"""The exchange of tests/both/verification_node.py without HTTP between, and what its tests send to it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fwnode import crypto
from fwnode.compat import run
from fwnode.roles import UPDATE
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.log import verification_log
from fwnode.roles.request import Request
from fwnode.trust import Untrusted
from fwnode.trust.root import Root
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))
from verification_node import MODEL, NET, World

IP = "127.0.0.1"


class Clock:
    """The request node's clock."""

    def now(self) -> int:
        return int(time.time())

    def told(self) -> int:
        return self.now()

    def learn(self, seconds: int) -> None:
        pass


class Node(World):
    """A verification node's exchange, and a board's key in its network."""

    def give(self, data: bytes) -> bytes:
        """What it answers."""
        return self.exchange.handle(data, IP)

    def dropped(self, data: bytes) -> str:
        """The one reason for which it drops `data`, of which nothing else may come."""
        self.exchange.counters.by_reason.clear()
        before = len(self.seen), len(self.logs)
        with pytest.raises((Untrusted, WireError)):
            self.give(data)
        assert before == (len(self.seen), len(self.logs)), "it was taken"
        (reason,) = self.exchange.counters.by_reason
        return reason

    def identity(self, private: bytes | None = None, credential: tuple[str, bytes] | None = None) -> Identity:
        """The board, or somebody with another key; with the board's certificate unless another is given."""
        private = private or self.board
        return Identity(private, crypto.public_key(private), credential or ("cert", self.certificate), MODEL, NET, 4000)

    def request(self, me: Identity | None = None) -> tuple[Request, bytes]:
        """An exchange of a board on a tampered 1.0.0, and its broadcast."""

        def measure() -> Any:
            yield
            return bytes(32)

        r = int.from_bytes(os.urandom(7), "big")
        request = Request(me or self.identity(), "1.0.0", Root(self.root), measure, Clock(), Counters(), 1, r)
        return request, run(request.begin())[0][1]

    def sent(self, newest: str, me: Identity | None = None) -> list[bytes]:
        """All that such a board sends, up to where its download begins; `newest` is what the node shows."""
        self.releases.shown = newest
        request, data = self.request(me)
        sent = [data]
        while True:
            ((kind, *rest),) = run(request.receive(self.give(sent[-1]), "v"))
            if kind == UPDATE:
                return sent
            sent.append(rest[-1])

    def log(self, me: Identity | None = None) -> bytes:
        """The log that ends an exchange."""
        now = int(time.time())
        return run(verification_log(me or self.identity(), 5, self.exchange.id, now, "tampered", "1.0.0", bytes(32)))

    def resealed(self, data: bytes, clear: dict[str, Any] | None = None, **sealed: Any) -> bytes:
        """The board's message with other sealed and clear fields, rightly sealed and signed."""
        parsed = decode(data)
        inside = run(message.unseal(self.node, parsed))
        body = {key: value for key, value in {**parsed, **(clear or {})}.items() if key not in ("box", "sig")}
        run(message.seal(crypto.public_key(self.node), body, {**inside, **sealed}))
        return run(message.sign(self.board, body))


def resigned(private: bytes, data: bytes, **fields: Any) -> bytes:
    """The message with clear fields replaced (None: removed) and a right signature of `private`."""
    changed = {**decode(data), **fields}
    return run(message.sign(private, {key: value for key, value in changed.items() if value is not None}))
