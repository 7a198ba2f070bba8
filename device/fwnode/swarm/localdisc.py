"""Local discovery (BEP 14): peers of the same release on the local network, by multicast; loaded where it is wanted.

Only for info-hashes of signed releases, and never for private ones (BEP 27). What is heard is a candidate like any
other: its pieces are hashed.
"""

import asyncio
import binascii

from fwnode.compat import const, randbelow, random_int, ticks_add, ticks_diff, ticks_ms
from fwnode.net import NetError
from fwnode.net.lan import Lan
from fwnode.swarm import SwarmError

GROUP = "239.192.152.143"
_PORT = const(6771)
INTERVAL_MS = const(300000)
ANSWER_MS = const(10000)  # newcomers are answered together, at most so often
ENOUGH = const(4)  # announcements of others after which ours is no longer needed
_MAX_HASHES = const(16)
MAX_KNOWN = const(32)


def message(group: str, group_port: int, port: int, info_hash: bytes, cookie: int) -> bytes:
    """One announcement."""
    text = "BT-SEARCH * HTTP/1.1\r\nHost: {}:{}\r\nPort: {}\r\nInfohash: {}\r\ncookie: {:08x}\r\n\r\n\r\n"
    return text.format(group, group_port, port, binascii.hexlify(info_hash).decode(), cookie).encode()


def parse(data: bytes) -> tuple:
    """(port, [info-hash], cookie) of an announcement; raises SwarmError."""
    lines = bytes(data).split(b"\r\n")
    if lines[0].strip() != b"BT-SEARCH * HTTP/1.1":
        raise SwarmError("local discovery: not a BT-SEARCH")
    port = 0
    hashes: list = []
    cookie = b""
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        value = value.strip()
        if name == b"port" and value.isdigit() and len(value) < 6:
            port = int(value)
        elif name == b"infohash" and len(value) == 40 and len(hashes) < _MAX_HASHES:
            try:
                hashes.append(binascii.unhexlify(value))
            except ValueError:
                raise SwarmError("local discovery: info-hash is not hex")
        elif name == b"cookie":
            cookie = value[:32]
    if not 1024 <= port < 65536 or not hashes:
        raise SwarmError("local discovery: no port from 1024 up, or no info-hash")
    return port, hashes, cookie


def beside(node, hub):  # type: ignore[no-untyped-def]
    """A running LocalDiscovery for `hub` on the port that the node's configuration names; None where there is none."""
    if hub.release.private:
        return None
    try:
        found = LocalDiscovery(hub, GROUP, node.config.discovery_port)
    except (SwarmError, NetError) as error:
        node.hooks.state("error", what="local discovery", why=str(error))
        return None
    found.start()
    return found


class LocalDiscovery:
    """Announces `hub`'s release on the local network while it runs, and hands the hub who else announces it."""

    def __init__(self, hub, group: str = GROUP, group_port: int = _PORT) -> None:  # type: ignore[no-untyped-def]
        """Raises SwarmError for a private release, NetError when the socket cannot be had."""
        if hub.release.private:
            raise SwarmError("local discovery: the release is private")
        self.hub = hub
        self.group = group
        self.group_port = group_port
        self.cookie = random_int(32)
        self.lan = Lan(group, group_port, hub.local_ip)
        self.due = ticks_ms()
        self.last = self.due
        self.answered = ticks_add(self.due, -ANSWER_MS)
        self.known = []  # type: list  # cookies (or addresses) that have had their answer
        self.heard = 0  # others since somebody was promised an answer
        self.tasks = []  # type: list

    def start(self) -> None:
        """Announce now and then, and listen."""
        self.tasks = [asyncio.create_task(self._announce()), asyncio.create_task(self._listen())]

    def stop(self) -> None:
        """Leave the group."""
        for task in self.tasks:
            task.cancel()
        self.tasks = []
        self.lan.close()

    async def _announce(self) -> None:
        while True:
            if ticks_diff(ticks_ms(), self.due) >= 0:
                self.last = ticks_ms()
                self.due = ticks_add(self.last, INTERVAL_MS)
                hub = self.hub
                try:
                    await self.lan.broadcast(
                        message(self.group, self.group_port, hub.port, hub.release.info_hash, self.cookie)
                    )
                except (NetError, MemoryError):
                    pass  # the next turn may find network and room
            await asyncio.sleep(0.25)

    async def _listen(self) -> None:
        own = "{:08x}".format(self.cookie).encode()
        while True:
            try:
                data, ip = await self.lan.receive()
                port, hashes, cookie = parse(data)
            except SwarmError:
                continue
            except (NetError, MemoryError):  # the network is away, or there is no room
                await asyncio.sleep(0.25)
                continue
            if cookie == own or self.hub.release.info_hash not in hashes:
                continue
            self.hub.event("local-peer", ip=ip, port=port)
            self.hub.candidates([(ip, port)])
            self._answer(cookie or ip, ticks_ms())

    def _answer(self, who, now: int) -> None:  # type: ignore[no-untyped-def]
        """Announce soon for a newcomer, at most once in ANSWER_MS, unless enough others do."""
        if who in self.known:
            return
        self.known.append(who)
        if len(self.known) > MAX_KNOWN:
            self.known.pop(0)
        soon = ticks_add(now, randbelow(1000))
        least = ticks_add(self.answered, ANSWER_MS)
        if ticks_diff(least, soon) > 0:
            soon = least
        if ticks_diff(self.due, soon) > ANSWER_MS:  # nothing is promised yet
            self.due = self.answered = soon
            self.heard = 0
        else:
            self.heard += 1
            if self.heard == ENOUGH:
                self.due = ticks_add(self.last, INTERVAL_MS)
