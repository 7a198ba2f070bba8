"""A board's serial port over a flash in RAM, and the real tools as subprocesses: shared by the
serial tests.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fwchain.board.serial import SerialPort, chip

MAC = bytes.fromhex("24ec4a0a0b0c")
BIN = Path(sys.executable).parent


class RamFlash:
    """NOR rules over a bytearray."""

    def __init__(self, size: int = 4 << 20) -> None:
        self.size = size
        self.data = bytearray(b"\xff" * size)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def erase(self, offset: int, length: int) -> None:
        assert offset % 4096 == 0 and length % 4096 == 0
        self.data[offset : offset + length] = b"\xff" * length

    def program(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= self.size
        old = int.from_bytes(self.data[offset : offset + len(data)], "little")
        new = (old & int.from_bytes(data, "little")).to_bytes(len(data), "little")
        self.data[offset : offset + len(data)] = new


class Bench:
    """A port whose chip has no firmware: it only counts how it was reset."""

    def __init__(self, name: str = "esp32", size: int = 4 << 20) -> None:
        self.flash = RamFlash(size)
        self.resets: list[bool] = []
        self.changed = threading.Condition()
        self.port = SerialPort(chip(name), self.flash, MAC, self._reset)

    def _reset(self, download: bool) -> None:
        with self.changed:
            self.resets.append(download)
            self.changed.notify_all()

    def wait_for(self, resets: list[bool], timeout: float = 5.0) -> bool:
        """Wait until the chip was reset like this since the bench was made."""
        with self.changed:
            return self.changed.wait_for(lambda: self.resets == resets, timeout)


@contextmanager
def bench(name: str = "esp32", size: int = 4 << 20) -> Iterator[Bench]:
    """A started `Bench`."""
    made = Bench(name, size)
    made.port.start()
    try:
        yield made
    finally:
        made.port.stop()


def run(tool: str, *args: object, check: bool = True, timeout: float = 90, text: str = "") -> str:
    """Run a tool of the environment as its user would; returns what it printed."""
    done = subprocess.run(
        [str(BIN / tool), *map(str, args)],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        text=True,
    )
    if check and done.returncode:
        raise AssertionError(f"{tool} {args} gave {done.returncode}:\n{done.stdout}")
    return done.stdout


def esptool(port: str, *args: object, check: bool = True, timeout: float = 90) -> str:
    """Run the real esptool on a port."""
    return run("esptool", "--port", port, *args, check=check, timeout=timeout)
