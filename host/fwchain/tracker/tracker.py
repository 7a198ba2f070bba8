"""The tracker as one object: its sockets, its clock and its state file around the core."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from fwchain.tracker import state
from fwchain.tracker.core import Core, TrackerError
from fwchain.tracker.udp import UdpFace
from fwchain.tracker.web import Factory, HttpFace

SAVE_S = 20
EXPIRE_S = 60
BACKLOG = 1024
RECEIVE_BUFFER = 1 << 20
START = 1 << 20  # the clock starts here, so that ages from a state file fit below


class Tracker:
    """A BitTorrent tracker for the info-hashes that it was told to `allow`.

    `await start(host, port)` serves HTTP and UDP on one number; `await stop()` ends it and keeps the state.
    """

    def __init__(
        self,
        state: Path | None = None,
        interval: int = 1800,
        max_peers: int = 100_000,
        ports_per_address: int = 8,
        rate: int = 20,
    ) -> None:
        """`state` is the file that carries the swarm over a restart; the rest as in `Core`."""
        self.core = Core(interval=interval, max_peers=max_peers, ports_per_address=ports_per_address, rate=rate)
        self.path = state
        self.port = 0
        self._began = time.monotonic() - START
        self._remembered: dict[bytes, bytes] = {}
        self._http: list[HttpFace] = []
        self._udp: list[UdpFace] = []
        self._fallback: Factory | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._old: Core | None = None
        self._saved = 0
        self.core.now = START

    # what it serves

    def allow(self, info_hash: bytes) -> None:
        """Serve this info-hash, with the peers that the state file remembers; raises TrackerError at the cap."""
        self.core.allow(info_hash)
        old = self._memory().swarms.pop(info_hash, None)
        if old is not None and not len(self.core.swarms[info_hash].v4):
            self.core.swarms[info_hash] = old
            self.core.recount()

    def forbid(self, info_hash: bytes) -> None:
        """Serve this info-hash no longer."""
        self.core.forbid(info_hash)

    def peers(self, info_hash: bytes, count: int) -> list[tuple[str, int, bool]]:
        """(address, port, complete) of at most `count` peers, for L."""
        return self.core.peers(info_hash, count)

    @property
    def counts(self) -> Mapping[str, int]:
        """Announces, scrapes and refusals since the start, by reason."""
        self.core.counts["announce"] = self.core.announces
        return self.core.counts

    def _memory(self) -> Core:
        """What the state file held: peers come back when their info-hash is allowed again."""
        if self._old is None:
            self._old = Core(interval=self.core.interval, max_peers=self.core.max_peers)
            self._old.now = self.core.now
            data = state.read(self.path) if self.path else None
            if data:
                with contextlib.suppress(ValueError):  # a broken state is no reason not to serve
                    state.load(self._old, data, known_only=False)
                    self.core.secret = self._old.secret
        return self._old

    # life

    async def start(self, host: str = "127.0.0.1", port: int = 0, fallback: Factory | None = None) -> None:
        """Listen on `host` (0.0.0.0 or ::, IPv4 and IPv6 both) and `port`; raises OSError when it is taken.

        `fallback` makes the protocol that gets every HTTP connection that is not the tracker's.
        """
        loop = asyncio.get_running_loop()
        self._memory()
        self._fallback = fallback
        hosts = ["0.0.0.0", "::"] if host in ("", "0.0.0.0", "::") else [host]
        self.port = port
        try:
            for one in hosts:
                self._listen(loop, one, optional=one == "::" and len(hosts) > 1)
        except OSError:
            await self.stop()
            raise
        self._ticker = asyncio.create_task(self._tick())

    def _listen(self, loop: asyncio.AbstractEventLoop, host: str, optional: bool) -> None:
        """A TCP and a UDP socket on the same number; with port 0 a number that is free for both."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for attempt in range(20):
            try:
                tcp = _bound(family, socket.SOCK_STREAM, host, self.port)
            except OSError:
                if optional:
                    return
                raise
            number = int(tcp.getsockname()[1])
            try:
                udp = _bound(family, socket.SOCK_DGRAM, host, number)
            except OSError:
                tcp.close()
                if self.port or attempt == 19:
                    raise
                continue
            break
        self.port = number
        tcp.listen(BACKLOG)
        self._udp.append(UdpFace(self.core, loop, udp))
        self._http.append(HttpFace(self.core, loop, tcp, self._fallback))

    async def _tick(self) -> None:
        saved = expired = time.monotonic()
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            self.core.now = int(now - self._began)
            for face in self._http:
                face.sweep()
            if now - expired > EXPIRE_S:
                expired = now
                self.core.expire()
            if now - saved > SAVE_S and self.core.announces != self._saved and self.path:
                saved = now
                await self._save()

    async def _save(self) -> None:
        assert self.path is not None
        self._saved = self.core.announces
        data = state.dump(self.core)
        try:
            await asyncio.to_thread(state.save, self.path, data)
        except OSError as error:
            self.core.counts[f"state not saved: {error.strerror}"] += 1

    async def stop(self) -> None:
        """Close every socket and save the state."""
        if self._ticker:
            self._ticker.cancel()
            self._ticker = None
        for udp in self._udp:
            udp.close()
        for http in self._http:
            http.close()
        self._udp, self._http = [], []
        if self.path and self.core.swarms:
            await self._save()


def _bound(family: int, kind: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


__all__ = ["Tracker", "TrackerError"]
