"""The demo's processes: commands that end, one node that runs, and the certainty that nothing stays behind."""

from __future__ import annotations

import contextlib
import ctypes
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from fwchain.errors import HostError

COMMAND = [sys.executable, "-m", "fwchain.cli.app"]
COMMAND_TIMEOUT_S = 120
STOP_TIMEOUT_S = 10
PR_SET_PDEATHSIG = 1
PORTS = (10000, 32000)


class CommandFailed(HostError):
    """A command of the demo ended with an exit code that is not 0."""


def fwchain(*arguments: object) -> str:
    """Run `fwchain …` to its end; returns what it printed. Raises CommandFailed."""
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(
            [*COMMAND, *words],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"`fwchain {' '.join(words)}` did not end within {COMMAND_TIMEOUT_S} s") from None
    if done.returncode:
        why = (done.stderr or done.stdout).strip()
        raise CommandFailed(f"`fwchain {' '.join(words)}` ended with {done.returncode}: {why}")
    return done.stdout


class Process:
    """A command that runs as a process of its own; it cannot outlive this one."""

    command: ClassVar[list[str]] = COMMAND

    def __init__(self, log: Path, *arguments: object, inside: Sequence[str] = ()) -> None:
        """Start it; what it prints goes to `log`. `inside` is a command that runs it somewhere else."""
        self.log = log
        self.name = " ".join([self.command[-1], str(arguments[0])])
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*inside, *self.command, *(str(one) for one in arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def check(self) -> None:
        """Raise CommandFailed when it has ended."""
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace").strip()[-2000:]
            raise CommandFailed(f"`{self.name}` ended with {self.process.returncode}: {tail}")

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it, in peace if it can; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait()


class Node(Process):
    """`fwchain serve`."""

    def __init__(self, network: Path, log: Path) -> None:
        """Start it; what it says in messages goes to trace.txt beside its log."""
        super().__init__(log, "serve", network, "--trace", log.with_name("trace.txt"))


class NormalNode(Process):
    """`fwchain node`."""

    def __init__(self, folder: Path, log: Path, inside: Sequence[str] = ()) -> None:
        """Start the node of this folder."""
        super().__init__(log, "node", folder, inside=inside)


class SybilProcess(Process):
    """Those that attack a board's request (fwchain.demo.sybils)."""

    command: ClassVar[list[str]] = [sys.executable, "-m", "fwchain.demo.sybils"]

    def __init__(self, log: Path, network: Path, port: int, events: Path) -> None:
        """Start them."""
        super().__init__(log, network, port, events)


def end_with_parent() -> None:
    """In a child, before it becomes another program: the end of the parent, however it comes, ends it too (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, with all that `finally` does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C, pressed again while everything is being ended, waits."""
    old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def free_ports(count: int, host: str = "127.0.0.1") -> int:
    """The first of `count` consecutive ports that are free at the moment, for TCP and UDP. No outgoing connection takes
    one of them by chance while its server is away: those leave from 32768 on.
    """
    for _ in range(50):
        first = random.randrange(*PORTS)
        if all(_free(host, first + step) for step in range(count)):
            return first
    raise HostError(f"no {count} consecutive ports are free")


def _free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
