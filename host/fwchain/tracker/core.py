"""What an announce and a scrape mean, whichever protocol brought them (BEP 3, 7, 15, 23, 48)."""

from __future__ import annotations

import secrets
import socket
from collections import Counter
from itertools import cycle
from random import random, randrange

from fwchain.errors import HostError
from fwchain.tracker.peers import PeerSet, Swarm

MAX_WANTED = 50
MAX_SCRAPE = 70
MAX_ADDRESSES = 100_000
JITTERS = 1009
BYTES_A_PEER = 260  # as tests/bench/tracker.py measures


class TrackerError(HostError):
    """The tracker cannot start; the text says why."""


class Refused(Exception):
    """An announce or scrape is not answered; the text (ASCII, short) goes to the client."""


class Core:
    """The swarms of allowed info-hashes. `clock` counts seconds and only its differences matter."""

    def __init__(
        self,
        interval: int = 1800,
        max_torrents: int = 10_000,
        max_peers: int = 100_000,
        ports_per_address: int = 8,
        rate: int = 20,
        max_memory: int = 256 << 20,
    ) -> None:
        """`interval`: seconds between announces; `max_peers` an info-hash; `rate`: announces a second and address;
        `max_memory`: bytes for the peers of all info-hashes.
        """
        self.interval = interval
        self.max_torrents = max_torrents
        self.max_peers = max_peers
        self.ports_per_address = ports_per_address
        self.rate = rate
        self.max_total = max_memory // BYTES_A_PEER
        self.total = 0  # peers of all info-hashes
        # spread by a tenth, so that a fleet that started together does not stay together
        self.jittered = cycle([int(interval * (0.9 + 0.2 * random())) for _ in range(JITTERS)]).__next__
        self.swarms: dict[bytes, Swarm] = {}
        self.counts: Counter[str] = Counter()
        self.announces = 0
        self.secret = secrets.token_bytes(32)
        self.now = 1
        self._hits: dict[bytes, int] = {}
        self._since = 0
        self._victim = PeerSet(6)
        self._floor = 0

    def allow(self, info_hash: bytes) -> None:
        """Serve this info-hash; raises TrackerError at the cap."""
        if info_hash not in self.swarms:
            if len(self.swarms) >= self.max_torrents:
                raise TrackerError(f"tracker: more than {self.max_torrents} info-hashes")
            self.swarms[info_hash] = Swarm()

    def forbid(self, info_hash: bytes) -> None:
        """Serve it no longer."""
        self.swarms.pop(info_hash, None)
        self.recount()

    def recount(self) -> None:
        """Count all peers anew, after a change that was no announce."""
        self.total = sum(len(swarm.v4) + len(swarm.v6) for swarm in self.swarms.values())

    def _make_room(self) -> None:
        """At the cap for all info-hashes a long silent peer of a large swarm goes; the largest is looked up rarely."""
        if len(self._victim) <= self._floor:
            self._victim = max((own for swarm in self.swarms.values() for own in (swarm.v4, swarm.v6)), key=len)
            self._floor = len(self._victim) * 3 // 4
        self._victim.evict()
        self.total -= 1

    def limit(self, address: bytes) -> None:
        """One more request of `address` (4 bytes, or the first 8 of IPv6); raises Refused over the rate."""
        hits = self._hits
        if self.now - self._since >= 10 or len(hits) > MAX_ADDRESSES:
            hits.clear()
            self._since = self.now
        count = hits.get(address, 0) + 1
        hits[address] = count
        if count > 10 * self.rate:
            raise Refused("too many requests")

    def announce(self, info_hash: bytes, key: bytes, left: int, event: bytes, want: int) -> tuple[Swarm, bytes, bytes]:
        """Note the peer `key` (compact address and port) and return (swarm, IPv4 peers, IPv6 peers); raises Refused.

        `event` is b"started", b"completed", b"stopped" or b"".
        """
        swarm = self.swarms.get(info_hash)
        if swarm is None:
            raise Refused("info-hash not served here")
        if key.endswith(b"\0\0"):
            raise Refused("port 0")
        own = swarm.v4 if len(key) == 6 else swarm.v6
        self.announces += 1
        at = own.place.get(key)
        if event == b"stopped":
            if at is not None:
                own.drop(key)
                self.total -= 1
            return swarm, b"", b""
        if at is not None:
            if event == b"completed" and not own.done[at]:
                swarm.downloaded += 1
            own.touch(at, self.now, left == 0)
        else:
            at = self._join(own, key, left == 0)
        if not 0 <= want <= MAX_WANTED:
            want = MAX_WANTED
        if not want:
            return swarm, b"", b""
        if own is swarm.v4:
            return swarm, own.window(want, at), swarm.v6.window(want) if swarm.v6.seen else b""
        return swarm, swarm.v4.window(want) if swarm.v4.seen else b"", own.window(want, at)

    def _join(self, own: PeerSet, key: bytes, done: bool) -> int:
        """Take a new peer and return its row; raises Refused."""
        before = len(own)
        if not own.put(key, self.now, done, self.max_peers, self.ports_per_address):
            raise Refused("too many ports from one address")
        self.total += len(own) - before
        if self.total > self.max_total:
            self._make_room()
        return own.place.get(key, -1)

    def expire(self) -> None:
        """Forget peers that missed two announces."""
        before = self.now - 2 * self.interval - 300
        if before > 0:
            for swarm in self.swarms.values():
                swarm.v4.expire(before)
                swarm.v6.expire(before)
            self.recount()

    def peers(self, info_hash: bytes, count: int) -> list[tuple[str, int, bool]]:
        """(address, port, complete) of at most `count` IPv4 peers for L: two an address, ports from 1024 up."""
        swarm = self.swarms.get(info_hash)
        rows: list[tuple[str, int, bool]] = []
        if swarm is None or not swarm.v4.seen:
            return rows
        own = swarm.v4
        size = len(own)
        start = randrange(size)
        by_address: Counter[bytes] = Counter()
        for step in range(min(size, 8 * count)):
            at = (start + step) % size
            entry = bytes(own.table[at * 6 : at * 6 + 6])
            port = entry[4] << 8 | entry[5]
            by_address[entry[:4]] += 1
            if port >= 1024 and by_address[entry[:4]] <= 2:
                rows.append((socket.inet_ntoa(entry[:4]), port, bool(own.done[at])))
                if len(rows) == count:
                    break
        return rows


def packed(host: str) -> bytes:
    """The 4 or 16 bytes of a connection's address; an IPv4 address inside IPv6 is IPv4."""
    try:
        return socket.inet_aton(host)
    except OSError:
        raw = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        return raw[12:] if raw.startswith(bytes(10) + b"\xff\xff") else raw
