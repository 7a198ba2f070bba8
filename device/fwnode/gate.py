"""Who may cost this board something (design: addition 11): strangers share one bucket, each known member has a turn of
its own, so that a flood of strangers holds up no member of the fleet.
"""

import hashlib
import os

from fwnode.compat import ticks_add, ticks_diff, ticks_ms

MEMBERS = 32  # remembered; the one that was heard least recently goes first
CONNECT_MS = 10000  # between two connections to an address that a datagram named
ADDRESSES = 16


class Gate:
    """One use in `every_ms` for strangers (`burst` saved up at most), one in `member_ms` for each member.

    A member is a key whose certificate and signature were found good, at the address that it came from: somebody
    else's copies of its messages come from another one, and are a stranger's.
    """

    def __init__(self, every_ms: int, burst: int, member_ms: int, ticks=ticks_ms) -> None:  # type: ignore[no-untyped-def]
        self._every = every_ms
        self._burst = burst
        self._member = member_ms
        self._ticks = ticks
        self._saved = burst
        self._at = ticks()
        self._salt = os.urandom(8)  # so that nobody can look for a key that is taken for another's
        self._known: dict = {}  # (key, address) hashed: ticks of its last use

    def _name(self, public: bytes, ip: str) -> int:
        """A small integer, which takes no heap on a board."""
        digest = hashlib.sha256(self._salt + public + ip.encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 2

    def take(self, public: bytes, ip: str) -> bool:
        """Whether a message that claims this key and comes from this address may cost something; it is used then."""
        now = self._ticks()
        name = self._name(public, ip)
        last = self._known.get(name)
        if last is not None:
            if ticks_diff(now, last) < self._member:
                return False
            self._known[name] = now
            return True
        while self._saved < self._burst and ticks_diff(now, self._at) >= self._every:
            self._at = ticks_add(self._at, self._every)
            self._saved += 1
        if self._saved == 0:
            return False
        if self._saved == self._burst:
            self._at = now
        self._saved -= 1
        return True

    def know(self, public: bytes, ip: str) -> None:
        """This key's certificate and signature were good."""
        name = self._name(public, ip)
        if name in self._known:
            return
        if len(self._known) >= MEMBERS:
            now = self._ticks()
            del self._known[max(self._known, key=lambda one: ticks_diff(now, self._known[one]))]
        self._known[name] = ticks_add(self._ticks(), -self._member)

    @property
    def members(self) -> int:
        """How many are known."""
        return len(self._known)

    def expect(self, count: int) -> None:
        """This board asked itself: so many answers of strangers are let in besides."""
        self._saved = min(self._saved + count, 2 * self._burst)


def may_connect(seen: dict, ip: str) -> bool:
    """One connection to an address in ten seconds, where a datagram alone named it (addition 10); `seen` remembers."""
    now = ticks_ms()
    for one in list(seen):
        if ticks_diff(now, seen[one]) >= CONNECT_MS:
            del seen[one]
    if ip in seen or len(seen) >= ADDRESSES:
        return False
    seen[ip] = now
    return True
