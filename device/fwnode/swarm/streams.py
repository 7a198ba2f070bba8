"""Bytes in and out of a connection without a buffer in between, on both interpreters.

MicroPython's own Stream copies what it cannot send at once, and asks the poller before each read; here the socket is
tried first.
"""

from fwnode.compat import MICROPYTHON
from fwnode.swarm import SwarmError

if MICROPYTHON:
    from asyncio import core  # type: ignore[attr-defined]

    def prompt(writer) -> None:  # type: ignore[no-untyped-def]
        """Send small messages at once (TCP_NODELAY); a port that lacks the option does without."""
        try:
            writer.s.setsockopt(6, 1, 1)
        except (OSError, ValueError):
            pass

    def ready(reader, view):  # type: ignore[no-untyped-def]
        """Read what has arrived into `view`, without waiting; returns the count, None or 0 when that is nothing."""
        return reader.s.readinto(view)

    def recv(reader, view):  # type: ignore[no-untyped-def]
        """Wait for bytes and read them into `view`; returns the count, 0 at the end of the stream."""
        sock = reader.s
        count = sock.readinto(view)
        while count is None:
            yield core._io_queue.queue_read(sock)
            count = sock.readinto(view)
        return count

    def put(writer, view) -> int:  # type: ignore[no-untyped-def]
        """Send what the socket takes now, without waiting; returns the count."""
        return writer.s.write(view) or 0

    def room(writer, blocked: bool):  # type: ignore[no-untyped-def]
        """Wait until the socket takes more, when `blocked`."""
        if blocked:
            yield core._io_queue.queue_write(writer.s)

else:

    def prompt(writer) -> None:  # type: ignore[no-untyped-def]
        """Send small messages at once: asyncio does by itself."""

    def ready(reader, view):  # type: ignore[no-untyped-def]
        """Read what has arrived into `view`, without waiting: asyncio does not tell."""
        return 0

    async def recv(reader, view):  # type: ignore[no-untyped-def]
        """Wait for bytes and read them into `view`; returns the count, 0 at the end of the stream."""
        data = await reader.read(len(view))
        view[: len(data)] = data
        return len(data)

    def put(writer, view) -> int:  # type: ignore[no-untyped-def]
        """Send what the socket takes now, without waiting; returns the count."""
        writer.write(bytes(view))
        return len(view)

    async def room(writer, blocked: bool) -> None:  # type: ignore[no-untyped-def]
        """Wait until the socket takes more."""
        await writer.drain()


async def recv_all(reader, view, count=0) -> None:  # type: ignore[no-untyped-def]
    """Fill `view`, whose first `count` bytes are there; raises SwarmError when the peer closes before."""
    count = count or 0
    size = len(view)
    while count < size:
        more = await recv(reader, view[count:] if count else view)
        if not more:
            raise SwarmError("closed by the peer")
        count += more


async def send_all(writer, data) -> None:  # type: ignore[no-untyped-def]
    """Send all of `data`."""
    view = memoryview(data)
    while view:
        view = view[put(writer, view) :]
        await room(writer, len(view) > 0)
