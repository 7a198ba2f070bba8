"""The swarms that the tracker knows: one compact byte string of peers each, so that an answer is one slice.

A peer is 6 bytes (IPv4) or 18 (IPv6): address and port as BEP 23 and BEP 7 send them. Everything is O(1) a peer.
"""

from __future__ import annotations

from array import array
from random import random, randrange

WIDTH4 = 6
WIDTH6 = 18


class PeerSet:
    """The peers of one info-hash in one address family."""

    __slots__ = ("complete", "done", "place", "ports", "seen", "table", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.table = bytearray()
        self.place: dict[bytes, int] = {}
        self.seen = array("I")  # seconds of the tracker's clock
        self.done = bytearray()
        self.complete = 0
        self.ports: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.seen)

    def put(self, key: bytes, now: int, done: bool, cap: int, per_address: int) -> bool:
        """Note that `key` announced at `now`; False when its address has too many ports here already."""
        at = self.place.get(key)
        if at is None:
            address = key[:-2]
            count = self.ports.get(address, 0)
            if count >= per_address:
                return False
            if len(self.seen) >= cap:
                self.evict()
            self.ports[address] = count + 1
            self.place[key] = len(self.seen)
            self.table += key
            self.seen.append(now)
            self.done.append(done)
            self.complete += done
        else:
            self.touch(at, now, done)
        return True

    def touch(self, at: int, now: int, done: bool) -> None:
        """The peer at row `at` announced again."""
        self.seen[at] = now
        if self.done[at] != done:
            self.done[at] = done
            self.complete += 1 if done else -1

    def drop(self, key: bytes) -> None:
        """Forget `key`; the last peer takes its place."""
        at = self.place.pop(key, None)
        if at is None:
            return
        address = key[:-2]
        left = self.ports[address] - 1
        if left:
            self.ports[address] = left
        else:
            del self.ports[address]
        self.complete -= self.done[at]
        width = self.width
        last = len(self.seen) - 1
        if at != last:
            moved = bytes(self.table[last * width :])
            self.table[at * width : (at + 1) * width] = moved
            self.seen[at] = self.seen[last]
            self.done[at] = self.done[last]
            self.place[moved] = at
        del self.table[last * width :]
        self.seen.pop()
        self.done.pop()

    def evict(self) -> None:
        """Forget the longest silent of a few: near enough to the least recent, and O(1)."""
        some = [randrange(len(self.seen)) for _ in range(8)]
        at = min(some, key=self.seen.__getitem__)
        self.drop(bytes(self.table[at * self.width : (at + 1) * self.width]))

    def expire(self, before: int) -> None:
        """Forget who has been silent since `before`."""
        width = self.width
        for at in range(len(self.seen) - 1, -1, -1):
            if self.seen[at] < before:
                self.drop(bytes(self.table[at * width : (at + 1) * width]))

    def window(self, want: int, asker: int = -1) -> bytes:
        """At most `want` peers in a row from a random place, without the one at row `asker`."""
        size = len(self.seen)
        width = self.width
        if want < size:
            start = int(random() * size)
            end = start + want
            if end <= size and not start <= asker < end:
                return bytes(self.table[start * width : end * width])
            end += 1  # one more, for the asker may be among them
            found = self.table[start * width : end * width] + self.table[: max(0, end - size) * width]
            at = (asker - start) % size if asker >= 0 else want
        else:
            found = self.table[:]
            at = asker if asker >= 0 else size
        del found[at * width : (at + 1) * width]
        return bytes(found[: want * width])


class Swarm:
    """One info-hash: its IPv4 and IPv6 peers, and how often it was completed."""

    __slots__ = ("downloaded", "v4", "v6")

    def __init__(self) -> None:
        self.v4 = PeerSet(WIDTH4)
        self.v6 = PeerSet(WIDTH6)
        self.downloaded = 0

    @property
    def complete(self) -> int:
        """Seeds."""
        return self.v4.complete + self.v6.complete

    @property
    def incomplete(self) -> int:
        """Leechers."""
        return len(self.v4) + len(self.v6) - self.complete
