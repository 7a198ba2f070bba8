"""The outer ends of the serial port: a pty, and a TCP port that speaks RFC 2217 to those who ask
and raw to others.
"""

from __future__ import annotations

import os
import select
import socket
import tty
from collections.abc import Callable

from serial.rfc2217 import PortManager

from fwchain.board.serial.lines import ModemLines

OUTPUT_LIMIT = 1 << 20  # bytes held for a client that does not read; beyond it they are lost, as on a UART
IAC = b"\xff"


class End:
    """One place where a client reads and writes. Descriptors are non-blocking."""

    lines = False  # has modem lines: a SYNC frame does not enter download mode here
    fd: int

    def __init__(self) -> None:
        self._output = bytearray()

    @property
    def wants_write(self) -> bool:
        """True when output waits for the client."""
        return bool(self._output)

    def send(self, data: bytes) -> None:
        """Output from the board."""
        if len(self._output) < OUTPUT_LIMIT:
            self._output += data
            self.flush()

    def flush(self) -> None:
        """Write as much as the client takes now."""
        while self._output:
            try:
                done = os.write(self.fd, self._output[:16384])
            except BlockingIOError:
                return
            except OSError:
                self._output.clear()
                return
            del self._output[:done]

    def receive(self) -> bytes | None:
        """Input from the client; None when it has gone."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        return data or None

    def drop_output(self) -> None:
        """Forget what no client will read."""
        self._output.clear()


class Pty(End):
    """A pseudo-terminal that lives as long as the board; clients open `path` and close it again.

    Linux reports a hang-up on the master as long as no client has the other end open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fd, slave = os.openpty()
        self.path = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        os.set_blocking(self.fd, False)
        self.open = False

    def connected(self) -> bool:
        """True while a client has the terminal open."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def close(self) -> None:
        """Take the terminal away."""
        os.close(self.fd)


class TcpClient(End):
    """A connection to the TCP port. The first Telnet command makes it an RFC 2217 session."""

    def __init__(self, connection: socket.socket, lines: Callable[[], ModemLines]) -> None:
        super().__init__()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self.fd = connection.fileno()
        self._make_lines = lines
        self._modem: ModemLines | None = None
        self._manager: PortManager | None = None

    @property
    def lines(self) -> bool:  # type: ignore[override]
        """True in an RFC 2217 session."""
        return self._manager is not None

    def receive(self) -> bytes | None:
        """Input from the client, Telnet commands taken out and obeyed."""
        data = super().receive()
        if not data:
            return data
        if self._manager is None:
            if not data.startswith(IAC):
                return data
            self._modem = self._make_lines()
            self._manager = PortManager(_Port(self._modem), self)
        return b"".join(self._manager.filter(data))

    def send(self, data: bytes) -> None:
        """Output from the board, escaped for Telnet in an RFC 2217 session."""
        super().send(data.replace(IAC, IAC + IAC) if self._manager is not None else data)

    def write(self, data: bytes) -> None:
        """Telnet commands of the PortManager, as they are."""
        self._output += data
        self.flush()

    def close(self) -> None:
        """End the connection; its modem lines fall."""
        if self._modem is not None:
            self._modem.release()
        self._socket.close()


class _Port:
    """What pyserial's PortManager sets and asks of a serial port."""

    cts = True
    dsr = True
    ri = False
    cd = True
    baudrate = 115200
    bytesize = 8
    parity = "N"
    stopbits = 1
    xonxoff = False
    rtscts = False
    break_condition = False

    def __init__(self, modem: ModemLines) -> None:
        self._modem = modem

    def _set_dtr(self, value: bool) -> None:
        self._modem.set(dtr=value)

    def _set_rts(self, value: bool) -> None:
        self._modem.set(rts=value)

    dtr = property(None, _set_dtr)
    rts = property(None, _set_rts)

    def reset_input_buffer(self) -> None:
        """Nothing is held here."""

    def reset_output_buffer(self) -> None:
        """Nothing is held here."""
