"""A virtual board's serial port: the chip behind it runs firmware (a console) or waits in download
mode (a loader).

One thread serves a pty and a TCP port. The supervisor is told to reset the board
(`on_reset(download)`), and tells the port which process is the console (`attach`) and what the boot
log says (`log`).
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fwchain.board.serial import registry, slip
from fwchain.board.serial.bootlog import rom_log
from fwchain.board.serial.chips import Chip
from fwchain.board.serial.console import Console
from fwchain.board.serial.endpoints import End, Pty, TcpClient
from fwchain.board.serial.lines import ModemLines
from fwchain.board.serial.loader import SYNC_FRAME, FlashLike, Loader
from fwchain.board.serial.sync import SyncSpotter

IDLE_POLL_S = 0.05  # a closed pty cannot be waited for: it is looked at
BUSY_POLL_S = 0.02
AFTER_CLOSE_S = 3.0  # pty and plain TCP have no reset line: this long after its client has gone, flashing is over
EARLY_LIMIT = 4096  # bytes that a client sends to a board that is starting
HELD_S = 0.1  # how long the beginning of a SYNC frame is held back


class SerialPort:
    """The port of one board. Call `start`, later `stop`; other methods may be called from any
    thread.

    `on_reset(download)`: reset the chip; with `download` the firmware must not run until the next
    reset. It is called in the port's thread and must not call back into `stop`. `on_output(data)`
    sees what the program prints.
    """

    def __init__(
        self,
        chip: Chip,
        flash: FlashLike,
        mac: bytes,
        on_reset: Callable[[bool], None],
        on_output: Callable[[bytes], None] = lambda data: None,
        link: Path | None = None,
        host: str = "127.0.0.1",
        name: str = "",
    ) -> None:
        self.chip = chip
        self._flash = flash
        self._mac = mac
        self._on_reset = on_reset
        self._on_output = on_output
        self._link = link
        self._host = host
        self._name = name
        self._announced: registry.Announcement | None = None
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._console: Console | None = None
        self._was_raw = False
        self._loader: Loader | None = None
        self._ends: dict[End, SyncSpotter] = {}
        self._leave_at: float | None = None
        self._after_flasher = False
        self._early = bytearray()
        self._held_at = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None

    # life

    def start(self) -> None:
        """Open the pty and the TCP port (`pty_path`, `tcp_port`) and serve them in a thread."""
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)
        self._pty = Pty()
        self._ends[self._pty] = SyncSpotter()
        self._listener = socket.create_server((self._host, 0))
        self._listener.setblocking(False)
        self.pty_path = self._pty.path
        self.tcp_port: int = self._listener.getsockname()[1]
        self._selector.register(self._wake_r, selectors.EVENT_READ, None)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._announced = registry.Announcement(self._name, self._link, self.urls)
        self._thread = threading.Thread(target=self._serve, name="serial", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close everything; clients see their port vanish."""
        self._stopping = True
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        if self._announced is not None:
            self._announced.withdraw()
            self._announced = None

    @property
    def urls(self) -> tuple[str, str, str]:
        """The port's three names: pty, RFC 2217, plain TCP."""
        place = f"{self._host}:{self.tcp_port}"
        return self.pty_path, f"rfc2217://{place}", f"socket://{place}"

    # the supervisor's side

    @property
    def download(self) -> bool:
        """True while the chip is in download mode."""
        return self._loader is not None

    def attach(self, fd: int, pid: int, raw: bool = False, started: Callable[[], bool] = lambda: True) -> None:
        """`fd` (now the port's own) is the terminal of process `pid`; `raw`: begin in raw REPL. `started` tells when
        Ctrl-C may reach it.
        """

        def do() -> None:
            self._detach()
            self._was_raw = raw
            if self._loader is not None:  # it was reset into download mode while this one started
                os.close(fd)
                return
            self._console = Console(fd, pid, raw, started)
            self._selector.register(fd, selectors.EVENT_READ, self._console)
            early, self._early = bytes(self._early), bytearray()
            self._console.send(early)

        self._call(do)

    def detach(self) -> bool:
        """The process has ended: pass on its last words. True when it was in raw REPL."""
        self._call(self._detach)
        self.drain()
        return self._was_raw

    def log(self, data: bytes) -> None:
        """Say something on the port that no program says: the ROM's and the boot loader's lines."""
        self._call(lambda: self._broadcast(data))

    def enter_download(self) -> None:
        """As if GPIO0 were held low at a reset."""
        self._call(lambda: self._reset(True, quiet=False))

    def leave_download(self) -> None:
        """The chip was reset into flash boot by somebody else: the loader is gone."""
        self._call(self._drop_loader)

    def drain(self, timeout: float = 1.0) -> None:
        """Wait until the calls made so far are done."""
        done = threading.Event()
        self._call(done.set)
        done.wait(timeout)

    def _call(self, function: Callable[[], None]) -> None:
        if threading.current_thread() is self._thread:
            function()
            return
        with self._lock:
            self._calls.append(function)
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_w, b"x")
        except OSError:
            pass

    # the thread

    def _serve(self) -> None:
        try:
            while not self._stopping:
                self._run_calls()
                self._look_at_pty()
                for end in self._ends:
                    self._want(end.fd, end, end is not self._pty or self._pty.open, end.wants_write)
                if self._console is not None:
                    self._want(self._console.fd, self._console, True, self._console.wants_write)
                for key, events in self._selector.select(self._pause()):
                    self._serve_one(key, events)
                self._tick()
        finally:
            self._close_all()

    def _pause(self) -> float | None:
        waiting = self._console is not None and self._console.wants_poll
        if waiting or self._leave_at is not None or self._held_at:
            return BUSY_POLL_S
        return IDLE_POLL_S if not self._pty.open else 0.5

    def _want(self, fd: int, owner: object, read: bool, write: bool) -> None:
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        key = self._selector.get_map().get(fd)
        if key is None:
            if events:
                self._selector.register(fd, events, owner)
        elif not events:
            self._selector.unregister(fd)
        elif key.events != events:
            self._selector.modify(fd, events, owner)

    def _serve_one(self, key: selectors.SelectorKey, events: int) -> None:
        owner = key.data
        if key.fileobj is self._listener:
            self._accept()
        elif owner is None:
            os.read(self._wake_r, 4096)
        elif isinstance(owner, Console):
            if owner is self._console:
                self._serve_console(owner, events)
        elif owner in self._ends:
            if events & selectors.EVENT_WRITE:
                owner.flush()
            if events & selectors.EVENT_READ:
                self._serve_end(owner)

    def _serve_console(self, console: Console, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            console.flush()
        if events & selectors.EVENT_READ:
            data = console.receive()
            if data is None:
                self._detach()
            elif data:
                self._broadcast(data)
                self._on_output(data)

    def _serve_end(self, end: End) -> None:
        data = end.receive()
        if data is None:
            if end is self._pty:
                self._pty_closed()
            else:
                self._drop(end)
            return
        if not data:
            return
        if self._loader is not None and not self._flasher_is_gone(end, data):
            self._leave_at = None
            end.send(self._loader.feed(data))
            return
        if end.lines:
            self._to_console(data)
            return
        passed, rest = self._ends[end].feed(data)
        self._held_at = time.monotonic()
        self._to_console(passed)
        if rest is not None:
            self._reset(True, quiet=True)
            end.drop_output()
            end.send(self._loader_feed(SYNC_FRAME + rest))

    def _flasher_is_gone(self, end: End, data: bytes) -> bool:
        """The first client after a flashing one speaks no SLIP: the board runs, sooner than planned."""
        if not self._after_flasher or end.lines:
            return False
        self._after_flasher = False
        if data[0] == slip.END:
            return False
        self._reset(False, quiet=False)
        return True

    def _loader_feed(self, data: bytes) -> bytes:
        return self._loader.feed(data) if self._loader is not None else b""

    def _to_console(self, data: bytes) -> None:
        if self._console is not None:
            if data:
                self._console.send(data)
        elif len(self._early) < EARLY_LIMIT:
            self._early += data  # the board is starting: its console takes it in a moment

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        client = TcpClient(connection, self._lines)
        self._ends[client] = SyncSpotter()

    def _lines(self) -> ModemLines:
        return ModemLines(lambda download: self._reset(download, quiet=False), lambda: None)

    # reset and modes

    def _reset(self, download: bool, quiet: bool) -> None:
        """Reset the chip. `quiet`: without the ROM's log, which would stand in the way of a SYNC's
        answer.
        """
        self._leave_at = None
        self._after_flasher = False
        self._early.clear()
        self._loader = None
        if download:
            self._loader = Loader(self.chip, self._flash, self._mac, self._loader_left)
            self._on_reset(True)
            self._detach()
            if not quiet:
                self._broadcast(rom_log(self.chip, download=True))
        else:
            self._on_reset(False)

    def _loader_left(self) -> None:
        self._call_later(lambda: self._reset(False, quiet=False))

    def _call_later(self, function: Callable[[], None]) -> None:
        with self._lock:
            self._calls.append(function)
        self._wake()

    def _drop_loader(self) -> None:
        self._loader = None
        self._leave_at = None

    def _detach(self) -> None:
        if self._console is not None:
            last = self._console.receive()
            while last:
                self._broadcast(last)
                self._on_output(last)
                last = self._console.receive()
            if self._console.fd in self._selector.get_map():
                self._selector.unregister(self._console.fd)
            self._was_raw = self._console.raw
            self._console.close()
            self._console = None

    # housekeeping

    def _run_calls(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, []
        for function in calls:
            function()

    def _look_at_pty(self) -> None:
        if not self._pty.open and self._pty.connected():
            self._pty.open = True

    def _pty_closed(self) -> None:
        self._pty.open = False
        self._pty.drop_output()
        self._ends[self._pty] = SyncSpotter()
        self._flasher_gone()

    def _flasher_gone(self) -> None:
        """A client that has no reset line has gone; when it was flashing, the board runs soon."""
        if self._loader is not None and not self._stopping:
            self._after_flasher = True
            self._leave_at = time.monotonic() + AFTER_CLOSE_S

    def _tick(self) -> None:
        now = time.monotonic()
        if self._console is not None:
            self._console.poll()
        if self._leave_at is not None and now >= self._leave_at:
            self._reset(False, quiet=False)
        if self._held_at and now >= self._held_at + HELD_S:
            self._held_at = 0.0
            for spotter in self._ends.values():
                self._to_console(spotter.give_up())

    def _broadcast(self, data: bytes) -> None:
        for end in list(self._ends):
            if end is not self._pty or self._pty.open:
                end.send(data)

    def _drop(self, end: End) -> None:
        if end.fd in self._selector.get_map():
            self._selector.unregister(end.fd)
        del self._ends[end]
        if not end.lines:
            self._flasher_gone()
        if isinstance(end, TcpClient):
            end.close()

    def _close_all(self) -> None:
        self._detach()
        for end in list(self._ends):
            if isinstance(end, TcpClient):
                self._drop(end)
        self._pty.close()
        self._listener.close()
        self._selector.close()
        os.close(self._wake_r)
        os.close(self._wake_w)
