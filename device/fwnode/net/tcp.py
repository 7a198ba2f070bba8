"""TCP streams with an optional local address, on both interpreters.

`local` is the address that a connection leaves from. A virtual board has a loopback address of its own and gives it
here; a board with one interface gives None.
"""

import asyncio
import socket

from fwnode.compat import MICROPYTHON, const

_BACKLOG = const(5)
_PAUSE_S = 0.1

if MICROPYTHON:
    from asyncio import core  # type: ignore[attr-defined]

    def _readable(sock):  # type: ignore[no-untyped-def]
        yield core._io_queue.queue_read(sock)

    class Port:
        """A port that is listened on; asyncio's own listener would end with the first connection that finds no heap."""

        def __init__(self, on_connection, ip: str, port: int) -> None:  # type: ignore[no-untyped-def]
            self.sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(socket.getaddrinfo(ip, port)[0][-1])
                sock.listen(_BACKLOG)
                sock.setblocking(False)
            except OSError:
                sock.close()
                raise
            self.task = asyncio.create_task(self._accept(on_connection))

        async def _accept(self, on_connection) -> None:  # type: ignore[no-untyped-def]
            sock = None
            while True:
                try:
                    await _readable(self.sock)
                    sock, peer = self.sock.accept()
                    sock.setblocking(False)
                    stream = asyncio.StreamReader(sock, {"peername": peer})  # type: ignore[call-arg]
                    asyncio.create_task(on_connection(stream, stream))  # noqa: RUF006 - the loop keeps it
                except (OSError, MemoryError):
                    if sock is not None:
                        sock.close()
                    await asyncio.sleep(_PAUSE_S)
                sock = None

        def close(self) -> None:
            """Listen no more."""
            self.task.cancel()
            self.sock.close()

    async def listen(on_connection, ip: str, port: int):  # type: ignore[no-untyped-def]
        """Pass each connection to the coroutine function `on_connection(reader, writer)`, until `close()` of what is
        returned; raises OSError.
        """
        return Port(on_connection, ip, port)

    async def readinto(reader, buffer):  # type: ignore[no-untyped-def]
        """Fill at most `buffer` with what has arrived; returns the count, 0 at the end of the stream."""
        return await reader.readinto(buffer)

else:

    async def listen(on_connection, ip: str, port: int):  # type: ignore[no-untyped-def]
        """Pass each connection to the coroutine function `on_connection(reader, writer)`, until `close()` of what is
        returned; raises OSError.
        """
        return await asyncio.start_server(on_connection, ip, port)

    async def readinto(reader, buffer):  # type: ignore[no-untyped-def]
        """Fill at most `buffer` with what has arrived; returns the count, 0 at the end of the stream."""
        data = await reader.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def address(raw) -> tuple:  # type: ignore[no-untyped-def]
    """(IPv4 address, port) of a peer as the interpreter gives it: a tuple, or a packed sockaddr on the Unix port."""
    if isinstance(raw, (bytes, bytearray)):
        _, packed, port = socket.sockaddr(raw)[:3]  # type: ignore[attr-defined]
        return ".".join(str(byte) for byte in packed[:4]), port
    return raw[0], raw[1]


async def close(writer) -> None:  # type: ignore[no-untyped-def]
    """Close a stream, and mean it: MicroPython's close() alone leaves the socket open."""
    try:
        writer.close()
        await writer.wait_closed()
    except OSError:
        pass
