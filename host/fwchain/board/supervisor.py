"""Power, reset button and watchdog of a virtual board: starts its process again and again, as the
chip would.

One thread a board. Each boot is a process of its own (fwchain.board.launcher) that cannot outlive
this one. Why it ended stands in the flash's state file; what it prints goes to console.log, and
lines that are JSON objects with an "event" to events.jsonl.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fwchain.board import launcher
from fwchain.board.boards import Board
from fwchain.board.child import kill, python_path, runtime_romfs
from fwchain.board.flash import Flash
from fwchain.board.lock import Lock
from fwchain.board.output import Output
from fwchain.board.runtime.vb import appimage, parts
from fwchain.board.runtime.vb import state as st
from fwchain.errors import SetupError
from fwchain.events import Log

POLL_S = 0.04
NO_BOOT_DELAY_S = 1.0  # a chip with nothing to boot resets for ever; not quite so fast here
PANIC_DELAY_S = 0.1

CAUSES = {
    st.PWRON_RESET: "power on",
    st.HARD_RESET: "power on",
    st.WDT_RESET: "watchdog",
    st.DEEPSLEEP_RESET: "deep sleep",
    st.SOFT_RESET: "software",
}


class Supervisor:
    """Runs the board in `folder` from `start` to `stop`.

    States (`state`): "off", "running", "idle" (main.py has ended), "sleep", "download", "no boot".
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        kind: Board,
        mac: bytes,
        *,
        heap: int,
        wifi: dict[str, str] | None,
        ip: str,
        serial: bool = False,
        reboot_after_cut: bool = False,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.kind = kind
        self.mac = mac
        self.heap = heap
        self.wifi = wifi
        self.ip = ip
        self.serial = serial
        self.reboot_after_cut = reboot_after_cut
        self.on_line = on_line
        self.state = "off"
        self.events = Log(folder / "events.jsonl", board=name)
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._cause = st.PWRON_RESET
        self._port: Any = None
        self._thread: threading.Thread | None = None
        self._download = False

    # from outside

    def start(self) -> None:
        """Take the folder and power on; SetupError when another process runs this board."""
        self._lock = Lock(self.folder, self.name)
        self.flash = Flash(self.folder / "flash.bin")
        state = self.flash.state
        st.put(state, st.CONTROL, st.CONTROL_NONE)
        state[st.MAC : st.MAC + 6] = self.mac
        state[st.IP : st.IP + 4] = socket.inet_aton(self.ip)
        runtime = runtime_romfs()
        path = self.folder / launcher.RUNTIME_NAME
        if not path.exists() or path.read_bytes() != runtime:
            path.write_bytes(runtime)
        self._output = Output(self.folder, self.name, self.events, self._booted, self.on_line)
        if self.serial:
            self._open_port()
        self._thread = threading.Thread(target=self._run, name=f"board-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Pull the plug and wait until the process has gone."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)
            self._thread = None

    @property
    def alive(self) -> bool:
        """Whether the board is powered."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def process_alive(self) -> bool:
        """Whether firmware runs."""
        return self.alive and self._process is not None

    @property
    def pid(self) -> int | None:
        """The board's process."""
        return self._process.pid if self._process else None

    @property
    def urls(self) -> tuple[str, str, str]:
        """The serial port's names: pty, rfc2217://, socket://."""
        if self._port is None:
            raise SetupError(f"{self.name} was started without a serial port")
        urls: tuple[str, str, str] = self._port.urls
        return urls

    def wait(self, timeout: float) -> str:
        """Wait until no firmware runs and none is about to; returns the state, or "running"."""
        with self._changed:
            self._changed.wait_for(lambda: self.state not in ("running",), timeout)
            return self.state

    # the thread

    def _run(self) -> None:
        try:
            soft, raw = False, False
            while not self._stop.is_set():
                if self._download:
                    self._hold("download", None)
                    st.put(self.flash.state, st.CONTROL, st.CONTROL_NONE)  # the reset that ended it
                    soft, raw, self._cause = False, False, st.PWRON_RESET
                    continue
                self._set("running")
                ended = self._boot(soft, raw)
                soft, raw = False, False
                if self._stop.is_set() or ended == "download":
                    continue
                if ended == "soft":
                    soft, self._cause = True, st.SOFT_RESET
                elif ended == "repl":
                    soft, self._cause = True, st.SOFT_RESET
                    raw = self._was_raw
                elif ended == "off":
                    self._set("off")
                    return
                elif ended == "sleep":
                    ms = st.get(self.flash.state, st.SLEEP_MS)
                    self._cause = st.DEEPSLEEP_RESET
                    self._hold("sleep", ms / 1000 if ms else None)
                elif ended == "idle":
                    self._hold("idle", None)
                elif ended == "no boot":
                    self._hold("no boot", NO_BOOT_DELAY_S)
        finally:
            self._close()

    def _set(self, state: str) -> None:
        with self._changed:
            self.state = state
            self._changed.notify_all()

    def _boot(self, soft: bool, raw: bool) -> str:
        """One process from start to end, `raw`: into raw REPL, without main.py; returns what follows."""
        options = {
            "cause": self._cause,
            "heap": self.heap,
            "soft": soft,
            "repl": self.serial,
            "main": not raw,
            "wifi": self.wifi,
            "chip_id": self.kind.chip_id,
            "rom_log": self._rom_log(),
        }
        command = [sys.executable, "-m", "fwchain.board.launcher", str(self.folder)]
        environment = {**os.environ, "PYTHONPATH": python_path(), "PYTHONDONTWRITEBYTECODE": "1"}
        st.put(self.flash.state, st.STARTED, 0)
        ours: socket.socket | None = None
        if self.serial:
            ours, theirs = socket.socketpair()
            streams: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        else:
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen([*command, json.dumps(options)], env=environment, start_new_session=True, **streams)
        self._process = process
        if ours is not None:
            theirs.close()
            started = lambda: bool(st.get(self.flash.state, st.STARTED))  # noqa: E731
            self._port.attach(ours.detach(), process.pid, raw, started)
        try:
            forced = self._watch(process)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                self._drain(process)
            self._process = None
        self._was_raw = self._port.detach() if self._port is not None else False
        self._output.flush()
        if self._download:
            return "download"
        return forced or self._after(process.returncode)

    def _watch(self, process: subprocess.Popen[bytes]) -> str | None:
        """Pass output on until the process ends (None) or must be ended (what follows then)."""
        state = self.flash.state
        feeds, fed_at = 0, time.monotonic()
        stdout = process.stdout
        while True:
            if self._stop.is_set():
                return "off"
            if stdout is not None:
                if select.select([stdout], [], [], POLL_S)[0]:
                    data = os.read(stdout.fileno(), 65536)
                    if not data:
                        process.wait()
                        return None
                    self._output.take(data)
            else:
                try:
                    process.wait(POLL_S)
                    return None
                except subprocess.TimeoutExpired:
                    pass
            control = self._control()
            if control:
                return control
            period = st.get(state, st.WDT_MS)
            now_feeds = st.get(state, st.WDT_FEEDS)
            if now_feeds != feeds or not period:
                feeds, fed_at = now_feeds, time.monotonic()
            elif (time.monotonic() - fed_at) * 1000 > period:
                return self._bite()

    def _bite(self) -> str:
        self._cause = st.WDT_RESET
        self.events.emit("reset", cause="watchdog")
        return "reset"

    def _control(self) -> str | None:
        """What another process (reset button) or the serial port asks."""
        if self._download:
            return "download"
        control = st.get(self.flash.state, st.CONTROL)
        if control == st.CONTROL_NONE:
            return None
        st.put(self.flash.state, st.CONTROL, st.CONTROL_NONE)
        if control == st.CONTROL_STOP:
            self._stop.set()
            return "off"
        if control == st.CONTROL_DOWNLOAD and self._port is not None:
            self._port.enter_download()
            return None
        self._cause = st.PWRON_RESET
        self.events.emit("reset", cause="button")
        return "reset"

    def _after(self, code: int) -> str:
        """What follows on a process that ended by itself."""
        request = st.get(self.flash.state, st.REQUEST)
        st.put(self.flash.state, st.REQUEST, st.REQUEST_NONE)
        if request == st.REQUEST_RESET:
            self._cause = st.SOFT_RESET
            self.events.emit("reset", cause="software")
            return "reset"
        if request == st.REQUEST_SOFT_RESET:
            return "soft"
        if request == st.REQUEST_SLEEP:
            return "sleep"
        if request == st.REQUEST_CUT:
            self.events.emit("power_cut", operation=self.flash.operations)
            self._cause = st.PWRON_RESET
            return "reset" if self.reboot_after_cut else "off"
        if code == launcher.NOTHING_BOOTS:
            self.events.emit("no_boot")
            self._cause = st.SOFT_RESET
            return "no boot"
        if code < 0 or request == st.REQUEST_PANIC:
            self._say(b"\r\nGuru Meditation Error: the program ended by itself. Rebooting...\r\n")
            self.events.emit("panic", code=code)
            self._cause = st.SOFT_RESET
            self._stop.wait(PANIC_DELAY_S)
            return "reset"
        if self._port is not None:  # Ctrl-D, or SystemExit, at the prompt
            self._say(b"MPY: soft reboot\r\n")
            return "repl"
        self.events.emit("main_ended", code=code)
        return "idle"

    def _hold(self, state: str, seconds: float | None) -> None:
        """No process runs: wait for time, the reset button, the watchdog, the end of download mode."""
        self._set(state)
        end = None if seconds is None else time.monotonic() + seconds
        period = st.get(self.flash.state, st.WDT_MS) / 1000 if state == "idle" else 0
        bite = time.monotonic() + period if period else None
        while not self._stop.wait(POLL_S):
            now = time.monotonic()
            if state == "download":
                if st.get(self.flash.state, st.CONTROL) == st.CONTROL_STOP:
                    self._stop.set()
                elif st.get(self.flash.state, st.CONTROL) != st.CONTROL_NONE:
                    self._download = False
                    self._port.leave_download()
                if not self._download:
                    return
                continue
            if self._control() or (end is not None and now >= end):
                return
            if bite is not None and now >= bite:
                self._bite()
                return

    # output

    def _booted(self, offset: int) -> None:
        version, model = appimage.description(self.flash.mem, offset) or (None, None)
        names = {e[2]: e[4] for e in parts.read(self.flash.mem, self.flash.size)}
        self.events.emit(
            "boot",
            slot=names.get(offset, hex(offset)),
            version=version,
            model=model,
            cause=CAUSES.get(self._cause, "?"),
        )

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            while data := os.read(stream.fileno(), 65536):
                self._output.take(data)

    def _say(self, text: bytes) -> None:
        if self._port is not None:
            self._port.log(text)
        self._output.take(text)

    # serial port

    def _open_port(self) -> None:
        from fwchain.board.serial import SerialPort, chip

        self._port = SerialPort(
            chip(self.kind.chip),
            self.flash,
            self.mac,
            self._serial_reset,
            self._output.take,
            link=self.folder / "tty",
            name=self.name,
        )
        self._port.start()
        pty, rfc2217, tcp = self._port.urls
        text = json.dumps({"pty": pty, "rfc2217": rfc2217, "socket": tcp})
        (self.folder / "serial.json").write_text(text + "\n")

    def _serial_reset(self, download: bool) -> None:
        """A client of the port pulled the reset line; called in the port's thread."""
        self._download = download
        if download:
            process = self._process
            if process is not None:
                kill(process.pid)
        else:
            st.put(self.flash.state, st.CONTROL, st.CONTROL_RESET)

    def _rom_log(self) -> str:
        from fwchain.board.serial.bootlog import rom_log
        from fwchain.board.serial.chips import chip

        return rom_log(chip(self.kind.chip), CAUSES[self._cause]).decode()

    def _close(self) -> None:
        self._set("off")
        if self._port is not None:
            self._port.stop()
            (self.folder / "serial.json").unlink(missing_ok=True)
        self._output.close()
        self.flash.close()
        self._lock.release()
