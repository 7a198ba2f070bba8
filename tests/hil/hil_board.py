"""The board under test, virtual or real, behind one face: tools on its port, events from its console."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fwchain.board import boards
from fwchain.board.partition_table import PartitionTable
from fwchain.board.virtual import VirtualBoard
from fwchain.flashing import lines, ports, tools
from fwchain.flashing.flash import Esptool
from fwchain.flashing.prompt import Mpremote

MODEL = "thermometer"
FIRST = "1.0.0"
JSON_LINE = re.compile(rb"\{.*\}")


@dataclass(frozen=True)
class Options:
    """What the command line said; empty strings: not said."""

    board: str
    kind: str
    firmware: str
    address: str
    wifi: tuple[str, str]
    heap: int
    restore: bool


class Board:
    """The board at `port`. `virtual` is its VirtualBoard, None for a real one."""

    def __init__(self, port: str, kind: boards.Board, options: Options, folder: Path, virtual: VirtualBoard | None):
        self.port = port
        self.kind = kind
        self.options = options
        self.folder = folder
        self.virtual = virtual
        self.esptool = Esptool(kind, port)
        self.prompt = Mpremote(port)

    # tools

    def fwchain(self, *args: object, timeout: float = 300) -> str:
        """`fwchain …` as a command; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "fwchain.cli.app", *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(self, code: str, timeout: float = 60) -> str:
        """Run code at the board's prompt, main.py interrupted; returns what it printed."""
        return self.prompt.run(code, timeout).strip()

    def ask(self, expression: str, before: str = "", timeout: float = 60) -> Any:
        """The value of an expression on the board, by way of JSON."""
        text = self.run(f"import json\n{before}\nprint('fwchain-said:' + json.dumps({expression}))\n", timeout)
        return json.loads(text)

    def run_mounted(self, folder: Path, code: str, timeout: float = 600) -> str:
        """Run code at the prompt while the board sees `folder` of this computer as its current one."""
        return tools.run("mpremote", self.port, ["connect", self.port, "mount", folder, "exec", code], timeout=timeout)

    def leave(self, code: str) -> None:
        """Let the board run code that ends in a reset, and do not wait for it."""
        tools.run("mpremote", self.port, ["connect", self.port, "exec", "--no-follow", code], timeout=60)

    def after_reset(self, expression: str, before: str = "") -> Any:
        """The value of an expression after the board's own start, without the soft reset that `ask` begins with."""
        code = f"import json\n{before}\nprint(json.dumps({expression}))"
        args = ["connect", self.port, "resume", "exec", code]
        return json.loads(tools.run("mpremote", self.port, args, timeout=60).strip().splitlines()[-1])

    # flash, in download mode

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the flash."""
        data = self.esptool.read(offset, length, after="hard-reset")
        self.settle()
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Erase and write a part of the flash."""
        path = self.folder / "part.bin"
        path.write_bytes(data)
        self.esptool.run("write-flash", hex(offset), path, after="hard-reset")
        self.settle()

    def table(self) -> PartitionTable:
        """The partition table in the flash; what it leaves over is MicroPython's vfs."""
        raw = self.read(self.kind.partition_table_offset, 0xC00)
        return PartitionTable.from_binary(raw)

    # reset and console

    def reset(self) -> None:
        """Pull the reset line, as a button does."""
        if self.virtual is not None:
            self.virtual.reset()
            time.sleep(0.1)
        else:
            lines.reset(self.port)

    def settle(self) -> None:
        """Until the board runs its firmware again after esptool."""
        if self.virtual is None:
            time.sleep(1.0)
            return
        end = time.monotonic() + 10
        while self.virtual.supervisor.state == "download" and time.monotonic() < end:
            time.sleep(0.05)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Listener]:
        """Read the console while inside; no other tool may use the port meanwhile."""
        listener = Listener(self.port)
        try:
            yield listener
        finally:
            listener.stop()

    def needs_network(self) -> None:
        """Skip the test on a board that has no way to this computer."""
        if self.virtual is None and not (self.options.address and self.options.wifi[0]):
            pytest.skip("a real board needs --address, --wifi-ssid and --wifi-key")

    def needs_wifi(self) -> tuple[str, str]:
        """(name, key) of the Wi-Fi; skip the test on a real board that was told none."""
        if self.options.wifi[0]:
            return self.options.wifi
        self.needs_virtual("a real board needs --wifi-ssid and --wifi-key")
        return "virtual", "virtual"

    def needs_virtual(self, why: str) -> VirtualBoard:
        """The virtual board; skip the test on a real one."""
        if self.virtual is None:
            pytest.skip(why)
        return self.virtual


class Listener:
    """A thread that reads the board's console and keeps the events in it."""

    def __init__(self, port: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.text = b""
        self._port = lines.open_port(port, timeout=0.1)
        self._changed = threading.Condition()
        self._stop = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while not self._stop:
            data = self._port.read(max(1, self._port.in_waiting))
            if not data:
                continue
            *whole, rest = (rest + data).split(b"\n")
            with self._changed:
                self.text += data
                for line in whole:
                    match = JSON_LINE.search(line)
                    with contextlib.suppress(ValueError):
                        event = json.loads(match[0]) if match else None
                        if isinstance(event, dict) and "event" in event:
                            self.events.append(event)
                self._changed.notify_all()

    def wait(self, kind: str, timeout: float, **fields: object) -> dict[str, Any]:
        """The next event of a kind with these fields, not told before; fails with what came instead."""

        def fits(event: dict[str, Any]) -> bool:
            return event["event"] == kind and all(event.get(name) == value for name, value in fields.items())

        with self._changed:
            self._changed.wait_for(lambda: any(map(fits, self.events)), timeout)
            for index, event in enumerate(self.events):
                if fits(event):
                    del self.events[: index + 1]
                    return event
            tail = self.text[-3000:].decode(errors="replace")
        raise AssertionError(f"no event {kind} {fields} in {timeout} s; the console ended with:\n{tail}")

    def wait_text(self, words: bytes, timeout: float) -> None:
        """Wait until the console has said these words."""
        with self._changed:
            assert self._changed.wait_for(lambda: words in self.text, timeout), self.text[-3000:].decode(
                "utf-8", "replace"
            )

    def reset(self, board: Board) -> None:
        """Pull the reset line of the board that is listened to."""
        if board.virtual is not None:
            board.virtual.reset()
        elif ports.lines_of(board.port) != board.port:
            lines.reset(board.port)  # its lines are elsewhere: a pty has none
        else:
            self._port.dtr = False
            self._port.rts = True
            time.sleep(0.1)
            self._port.rts = False

    def stop(self) -> None:
        """Close the port."""
        self._stop = True
        self._thread.join(5)
        self._port.close()


@contextlib.contextmanager
def open_board(options: Options, folder: Path) -> Iterator[Board]:
    """The board of these options with MicroPython and fwnode on it; restored at the end."""
    opener: Callable[..., Any] = _virtual if options.board == "virtual" else _real
    with opener(options, folder) as board:
        print(board.fwchain("board", "deploy", "--board", board.kind.name, "--port", board.port))
        yield board


@contextlib.contextmanager
def _virtual(options: Options, folder: Path) -> Iterator[Board]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FWCHAIN_RUN", str(folder / "run"))
        with VirtualBoard.create(folder / "board", heap=options.heap, table=False) as virtual:
            virtual.start(serial=True, reboot_after_cut=True)
            board = Board(virtual.supervisor.urls[0], virtual.kind, options, folder, virtual)
            out = board.fwchain("board", "firmware", "--out", folder, "--version", FIRST, "--model", MODEL, "--json")
            full = next(json.loads(line)["file"] for line in out.splitlines() if ".full.bin" in line)
            with _restored(board, options.restore):
                board.fwchain("board", "flash", "--port", board.port, "--firmware", full)
                board.settle()
                yield board


@contextlib.contextmanager
def _real(options: Options, folder: Path) -> Iterator[Board]:
    named = options.board if options.board in boards.names() else ""
    port = ports.choose(named or ports.ANY, None if named else options.board)
    kind = boards.load(named or (_kind_of(port) if options.kind == "auto" else options.kind))
    board = Board(port, kind, options, folder, None)
    with _restored(board, options.restore):
        if options.firmware:
            board.fwchain(
                *("board", "flash", "--board", kind.name, "--port", board.port, "--firmware", options.firmware)
            )
            board.settle()
        yield board


def _kind_of(port: str) -> str:
    out = tools.run("esptool", port, ["--port", port, "chip-id"])
    match = re.search(r"Detecting chip type\.\.\. (ESP32[\w-]*)", out)
    assert match, f"esptool names no chip at {port}:\n{out}"
    return match[1].lower().replace("-", "")


@contextlib.contextmanager
def _restored(board: Board, restore: bool) -> Iterator[None]:
    """Read the whole flash before, write it back after and read its digest."""
    if not restore:
        yield
        return
    whole = board.esptool.read(0, board.kind.flash_size, after="hard-reset")
    board.settle()
    path = board.folder / "whole-flash.bin"
    path.write_bytes(whole)
    try:
        yield
    finally:
        board.esptool.run("erase-flash")
        board.esptool.run("write-flash", "0x0", path)
        board.esptool.run("verify-flash", "0x0", path, after="hard-reset")
        if board.virtual is not None:
            now = hashlib.sha256(board.virtual.flash.read(0, board.kind.flash_size)).digest()
            assert now == hashlib.sha256(whole).digest(), "the virtual board was not restored"
