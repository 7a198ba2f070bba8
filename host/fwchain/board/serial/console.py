"""The bridge between the serial port and the MicroPython process: bytes, Ctrl-C, and which REPL is
on.

A real board's UART interrupt sees Ctrl-C (0x03) while a program runs; the launcher lets SIGUSR1 stand
for that. At a prompt, or when a program has switched the interrupt off (`micropython.kbd_intr(-1)`),
the byte is data and a signal would end the process. Whether the process catches SIGINT, which
MicroPython switches on and off with the interrupt, tells which it is.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

CTRL_C = b"\x03"
RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
RAW_START = b"raw REPL; CTRL-B to exit\r\n"
FRIENDLY_BANNER = b'Type "help()" for more information.\r\n'
PROMPT = b">>> "
RAW_PROMPT = b"\x04>"  # after a program that raw REPL ran
MOUNT_MARK = b"\x18"  # mpremote's mount protocol speaks binary from here on

STOP_S = 1.0  # a process takes far less to stop
INPUT_LIMIT = 256 * 1024  # bytes held for a program that does not read; beyond it they are lost, as on a UART


def _status(pid: int, field: str) -> str:
    """A field of the process's status, empty when it has gone (Linux; elsewhere always empty)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
    return next((line.split()[1] for line in status.splitlines() if line.startswith(field + ":")), "")


def catches_interrupt(pid: int) -> bool:
    """True when process `pid` has a handler for SIGINT."""
    return bool(int(_status(pid, "SigCgt") or "0", 16) >> (signal.SIGINT - 1) & 1)


def interrupt(pid: int) -> bool:
    """Raise KeyboardInterrupt in the program that process `pid` runs; False when none runs that may be interrupted.

    The process stands still between the look and the signal: a program that ended in between would be at its
    prompt, where the signal is the end.
    """
    if not catches_interrupt(pid):
        return False
    try:
        os.kill(pid, signal.SIGSTOP)
        try:
            end = time.monotonic() + STOP_S
            while _status(pid, "State") != "T" and time.monotonic() < end:
                time.sleep(0)
            if _status(pid, "State") != "T" or not catches_interrupt(pid):
                return False
            os.kill(pid, signal.SIGUSR1)
        finally:
            os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True


class Console:
    """One MicroPython process's terminal. `fd` is non-blocking and owned by this object. `started` tells when the
    process has come so far that Ctrl-C may reach it.

    `raw` starts the session in raw REPL, as a soft reset from raw REPL does: what the process
    prints on the way there is held back except what its own `boot.py` printed.
    """

    def __init__(self, fd: int, pid: int, raw: bool = False, started: Callable[[], bool] = lambda: True) -> None:
        self.fd = fd
        self.pid = pid
        self.raw = raw
        self._input = bytearray()
        self._started = started
        self._interrupted = False  # a Ctrl-C waits for the program to be able to take it
        self._prompted = False
        self._tail = b""
        self._binary = False
        self._held: bytearray | None = bytearray() if raw else None
        os.set_blocking(fd, False)
        if raw:
            self._input += b"\x01"

    @property
    def wants_write(self) -> bool:
        """True when input waits for the process."""
        return bool(self._input)

    @property
    def wants_poll(self) -> bool:
        """True when a Ctrl-C waits for the process to be able to take it."""
        return self._interrupted

    def send(self, data: bytes) -> None:
        """Input from the port."""
        parts = data.split(CTRL_C)
        for index, part in enumerate(parts):
            if index:
                self._interrupt()
            self._input += part
        if len(self._input) > INPUT_LIMIT:
            del self._input[INPUT_LIMIT:]
        self.flush()

    def _interrupt(self) -> None:
        self.flush()
        if self._started() and interrupt(self.pid):
            self._prompted = False
            self._tail = b""
        elif self._prompted:
            self._input += CTRL_C
        else:
            self._interrupted = True  # it is starting, or between program and prompt: see poll()

    def poll(self) -> None:
        """Deliver a Ctrl-C that came when the process could not take it; a prompt has no use for it any more."""
        if self._interrupted:
            self._interrupted = False
            if not self._prompted:
                self._interrupt()

    def flush(self) -> None:
        """Write as much of the waiting input as the process takes now."""
        while self._input:
            try:
                done = os.write(self.fd, self._input[:4096])
            except BlockingIOError:
                return
            except OSError:
                self._input.clear()
                return
            del self._input[:done]

    def receive(self) -> bytes | None:
        """Output of the process, ready for the port; None at its end."""
        try:
            data = os.read(self.fd, 16384)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        return self._output(data) if data else None

    def _output(self, data: bytes) -> bytes:
        if self._held is not None:
            self._held += data
            at = self._held.find(RAW_BANNER)
            if at < 0:
                return b""
            start = self._held.find(b"MicroPython ")
            own = bytes(self._held[: start if 0 <= start < at else at])
            data = own + bytes(self._held[at:])
            self._held = None
        self._watch(data)
        if MOUNT_MARK in data:
            self._binary = True
        if self.raw or self._binary:
            return data
        return to_crlf(data, self._tail_before)

    def _watch(self, data: bytes) -> None:
        self._tail_before = self._tail[-1:]
        seen = self._tail + data
        raw_at = seen.rfind(RAW_START)
        friendly_at = seen.rfind(FRIENDLY_BANNER)
        if raw_at > friendly_at:
            self.raw = True
        elif friendly_at > raw_at:
            self.raw = False
        if raw_at >= 0 or friendly_at >= 0 or PROMPT in seen or seen.endswith(RAW_PROMPT):
            self._prompted = True
        self._tail = seen[-64:]

    _tail_before = b""

    def close(self) -> None:
        """Give the terminal back."""
        os.close(self.fd)


def to_crlf(data: bytes, before: bytes) -> bytes:
    """Line ends as a board's UART sends them: every LF gets a CR, unless it has one. `before`: the
    byte ahead.
    """
    if b"\n" not in data:
        return data
    out = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if before == b"\r" and data[:1] == b"\n":
        out = out[1:]
    return out
