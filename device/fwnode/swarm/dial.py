"""Whom a download connects to: near peers first, one complete one among them, failures later and not for ever."""

import asyncio

from fwnode.compat import randbelow, ticks_add, ticks_diff, ticks_ms
from fwnode.errors import FwError
from fwnode.net.connect import connect
from fwnode.net.tcp import close
from fwnode.swarm import SwarmError, wire
from fwnode.swarm.streams import recv_all, send_all

MAX_CANDIDATES = 40
MAX_FAILURES = 3
CHOKES = "never unchoked us"


def nearness(ip: str, local_ip: str) -> int:
    """How many leading parts two IPv4 addresses share."""
    near = 0
    for ours, theirs in zip(local_ip.split("."), ip.split(".")):
        if ours != theirs:
            break
        near += 1
    return near


class Dialler:
    """Keeps up to `hub.sources` connections that we opened."""

    connect_ms = 4000
    retry_ms = 3000

    def __init__(self, hub, peers) -> None:  # type: ignore[no-untyped-def]
        self.hub = hub
        self.rows = []  # type: list  # [ip, port, complete, failures, not before, order]
        self.dials = []  # type: list  # (row, task)
        self.add(peers)

    def add(self, peers) -> None:  # type: ignore[no-untyped-def]
        """Take addresses: (ip, port) or (ip, port, complete)."""
        hub = self.hub
        for peer in peers:
            ip, port = peer[0], peer[1]
            complete = bool(peer[2]) if len(peer) > 2 else False
            if (ip == hub.local_ip and port == hub.port) or len(self.rows) >= MAX_CANDIDATES:
                continue
            if any(row[0] == ip and row[1] == port for row in self.rows):
                continue
            order = (-nearness(ip, hub.local_ip or ""), randbelow(1 << 16))
            self.rows.append([ip, port, complete, 0, ticks_ms(), order])

    def _ready(self, now: int) -> list:
        busy = [row for row, _ in self.dials]
        return [
            row for row in self.rows if row not in busy and ticks_diff(now, row[4]) >= 0 and not self.hub.banned(row[0])
        ]

    def waiting(self, now: int) -> bool:
        """Whether an address is left that is not tried yet or may be tried again."""
        busy = [row for row, _ in self.dials]
        return any(row not in busy and not self.hub.banned(row[0]) for row in self.rows)

    def tick(self, now: int) -> None:
        """Open connections while there are too few."""
        while len(self.dials) < self.hub.sources:
            ready = self._ready(now)
            if not ready:
                break
            sure = any(row[2] for row, _ in self.dials)
            row = min(ready, key=lambda row: (row[3], not sure and not row[2], row[5]))
            entry = [row, None]
            self.dials.append(entry)
            entry[1] = asyncio.create_task(self._dial(entry))
        if not self.dials and not self.rows and self.hub.announcer:
            self.hub.announcer.sooner(5000)

    def close(self) -> None:
        """Stop every attempt."""
        for _, task in self.dials:
            if task:
                task.cancel()

    async def _dial(self, entry) -> None:  # type: ignore[no-untyped-def]
        row = entry[0]
        hub = self.hub
        began = hub.fetched
        writer = None
        try:
            reader, writer = await connect(row[0], row[1], hub.local_ip, self.connect_ms)
            await send_all(writer, wire.handshake(hub.release.info_hash, hub.peer_id))
            view = memoryview(bytearray(wire.HANDSHAKE))
            await asyncio.wait_for(recv_all(reader, view), self.connect_ms / 1000)
            if view[0] != 0x13:
                raise SwarmError("not the BitTorrent protocol")
            info_hash, theirs = wire.parse_handshake(view[1:])
            if info_hash != hub.release.info_hash:
                raise SwarmError("answers for another info-hash")
            if await hub.serve(reader, writer, row[0], theirs, True) == CHOKES:
                row[3] -= 1  # its slots are taken: no failure
        except asyncio.TimeoutError:
            hub.reason("{}:{}: no handshake".format(row[0], row[1]))
        except (FwError, OSError) as error:
            text = str(error)
            hub.reason(text if text.startswith(row[0]) else "{}:{}: {}".format(row[0], row[1], text))
        finally:
            if writer:
                await close(writer)
            self.dials.remove(entry)
            row[3] = row[3] + 1 if hub.fetched == began else 1
            row[4] = ticks_add(ticks_ms(), self.retry_ms << row[3])
            if row[3] >= MAX_FAILURES and row in self.rows:
                self.rows.remove(row)
