"""One connection of the peer wire: what the other side said, what it asked for, and the two tasks that serve it.

`run` reads; a second task writes, so that neither side can block the other. What a block's bytes mean is the hub's
business: a `Seeder` wants none, a `Download` streams them to flash.
"""

import asyncio
import struct

from fwnode.compat import ticks_diff, ticks_ms
from fwnode.swarm import BLOCK, SECTOR, SwarmError, Violation, bitfield, wire
from fwnode.swarm.streams import prompt, put, ready, recv, recv_all, room, send_all


class Peer:
    """The state of one connection after its handshake; choked and not interested on both sides at first."""

    def __init__(self, hub, reader, writer, ip: str, theirs: bytes, dialled: bool) -> None:  # type: ignore[no-untyped-def]
        self.hub = hub
        self.reader = reader
        self.writer = writer
        self.ip = ip
        self.theirs = theirs
        self.dialled = dialled
        self.bits = bytearray((hub.release.piece_count + 7) >> 3)
        self.complete = False
        self.choked = True  # by them
        self.choking = True  # them
        self.interested = False  # they in us
        self.wanting = False  # we in them
        self.queue = []  # type: list
        self.out = bytearray()
        self.resting = False  # the writing task waits for work
        self.wake = asyncio.Event()
        self.task: asyncio.Task | None = None
        self.ended = ""
        self.down = self.counted = 0
        self.up = 0
        self.seen = self.sent = self.moved = self.came = self.since = self.window = ticks_ms()
        self.turn_down = self.turn_up = self.mark = 0
        # for a Download
        self.slot = None
        self.busy = -1  # the offset of the block that is arriving
        self.asked = []  # type: list
        self.late = []  # type: list
        self.depth = 2
        self.pace = 40

    async def run(self) -> None:
        """Serve the connection until it ends; `ended` says why. Never raises but for what breaks the hub itself."""
        self.task = asyncio.current_task()
        writing = None
        try:
            prompt(self.writer)
            self.hub.joined(self)
            writing = asyncio.create_task(self._write())
            await self._read()
        except (SwarmError, OSError) as error:
            self.ended = self.ended or ("connection lost" if isinstance(error, OSError) else str(error))
            self.hub.dropped(self, isinstance(error, Violation))
        except asyncio.CancelledError:
            self.ended = self.ended or "cancelled"
        finally:
            self.task = None
            if writing:
                writing.cancel()
            self.hub.left(self)

    def kill(self, why: str) -> None:
        """End the connection from another task (or say why it ends, from its own)."""
        self.ended = self.ended or why
        task = self.task
        if task and task is not asyncio.current_task():
            self.task = None
            task.cancel()

    def post(self, message: bytes) -> None:
        """Send a small message at once, or queue what the socket does not take; a peer that takes none is dropped."""
        if self.resting and not self.out:
            try:
                message = message[put(self.writer, message) :]
            except OSError:
                self.kill("connection lost")
                return
            if not message:
                return
        if len(self.out) > 2048:
            self.kill("does not read")
            return
        self.out += message
        self.wake.set()

    def want(self, yes: bool) -> None:
        """Say interested or not interested, once."""
        if yes is not self.wanting:
            self.wanting = yes
            self.since = ticks_ms()
            self.post(wire.simple(wire.INTERESTED if yes else wire.NOT_INTERESTED))

    def choke(self, yes: bool) -> None:
        """Choke or unchoke; a choked peer's requests are forgotten."""
        if yes is not self.choking:
            self.choking = yes
            if yes:
                self.queue = []
            else:
                self.sent = ticks_ms()
            self.post(wire.simple(wire.CHOKE if yes else wire.UNCHOKE))

    async def _read(self) -> None:
        reader = self.reader
        hub = self.hub
        head = memoryview(bytearray(13))
        first, middle = head[:4], head[:9]
        field = len(self.bits)
        while not self.ended:
            got = ready(reader, first)
            if got != 4:
                await recv_all(reader, first, got)
            size = struct.unpack_from(">I", head)[0]
            self.seen = ticks_ms()
            if (
                ticks_diff(self.seen, hub.turned) >= hub.turn_ms
            ):  # whoever sends without a pause leaves others their turn
                await asyncio.sleep(0)
                hub.turned = ticks_ms()
            if not size:
                continue
            if size > wire.MAX_MESSAGE:
                raise Violation("message of {} bytes".format(size))
            body = middle if size >= 9 else head[:size]
            got = ready(reader, body)
            if got != len(body):
                await recv_all(reader, body, got)
            number = head[0]
            wire.check_length(number, size, field)
            if number == wire.PIECE:
                index, begin = struct.unpack_from(">II", head, 1)
                await hub.take_block(self, index, begin, size - 9)
            elif number == wire.REQUEST or number == wire.CANCEL:
                await recv_all(reader, head[9:])
                await self._request(number, *struct.unpack_from(">III", head, 1))
            elif number == wire.BITFIELD:
                bits = bytearray(field)
                have = min(8, field)
                bits[:have] = head[1 : 1 + have]
                if field > 8:
                    await recv_all(reader, memoryview(bits)[8:])
                bitfield.check(bits, hub.release.piece_count)
                self._got(bits)
            elif number == wire.HAVE:
                index = struct.unpack_from(">I", head, 1)[0]
                if index >= hub.release.piece_count:
                    raise Violation("have: index {} out of range".format(index))
                if not bitfield.has(self.bits, index):
                    bitfield.put(self.bits, index)
                    hub.offers(self, index)
            elif number > wire.CANCEL:
                await self.skip(size - len(body))
            else:
                self._told(number)

    def _got(self, bits: bytearray) -> None:
        for index in range(self.hub.release.piece_count):
            if bitfield.has(bits, index) and not bitfield.has(self.bits, index):
                bitfield.put(self.bits, index)
                self.hub.offers(self, index, False)
        self.hub.offers(self, -1)

    def _told(self, number: int) -> None:
        if number == wire.CHOKE:
            self.choked = True
            self.since = ticks_ms()
            self.hub.choked(self)
        elif number == wire.UNCHOKE:
            self.choked = False
            self.since = self.moved = ticks_ms()
            self.hub.unchoked(self)
        else:
            self.interested = number == wire.INTERESTED
            self.hub.rechoke(False)

    async def skip(self, size: int) -> None:
        """Read `size` bytes and forget them."""
        spare = memoryview(bytearray(64))
        while size:
            count = await recv(self.reader, spare[: min(64, size)])
            if not count:
                raise SwarmError("closed by the peer")
            size -= count

    async def _request(self, number: int, index: int, begin: int, length: int) -> None:
        hub = self.hub
        if index >= hub.release.piece_count:
            raise Violation("request: index {} out of range".format(index))
        if not 0 < length <= BLOCK or begin + length > hub.release.piece_size(index):
            raise Violation("request: {} bytes at {} of piece {}".format(length, begin, index))
        row = (index, begin, length)
        if number == wire.CANCEL:
            if row in self.queue:
                self.queue.remove(row)
        elif not self.choking and bitfield.has(hub.have, index):
            while len(self.queue) >= wire.MAX_QUEUE:  # the peer waits in its own socket buffer, not in our heap
                await asyncio.sleep(0.02)
            if not self.queue:
                self.sent = ticks_ms()
            self.queue.append(row)
            self.wake.set()

    async def _write(self) -> None:
        try:
            while True:
                if self.out:
                    data, self.out = self.out, bytearray()
                    await send_all(self.writer, data)
                elif self.queue:
                    await self._upload(*self.queue.pop(0))
                else:
                    self.wake.clear()
                    self.resting = True
                    await self.wake.wait()
                    self.resting = False
        except (SwarmError, OSError) as error:
            self.kill("connection lost" if isinstance(error, OSError) else str(error))
        except asyncio.CancelledError:
            pass

    async def _upload(self, index: int, begin: int, length: int) -> None:
        """Send one block out of the storage through the hub's one buffer, which is filled anew after each wait."""
        hub = self.hub
        view = hub.up_view
        head = wire.block_head(index, begin, length)
        base = index * hub.release.piece_length + begin
        at = -13
        while at < length:
            await hub.turn(min(SECTOR, length - at))
            skip = 0
            if at < 0:
                skip = -at
                view[:skip] = head[13 - skip :]
            start = at + skip
            size = min(SECTOR - start % SECTOR, length - start)
            hub.storage.readinto(base + start, view[skip : skip + size])
            count = put(self.writer, view[: skip + size])
            at += count
            await room(self.writer, count < skip + size)
        self.up += length
        hub.count(self.ip, 0, length)
        self.sent = ticks_ms()

    def idle(self, now: int) -> int:
        """Milliseconds since the peer sent anything."""
        return ticks_diff(now, self.seen)
