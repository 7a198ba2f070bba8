"""A virtual board: a folder with a flash, and the power switch.

The folder holds flash.bin, flash.state (wear, reset cause), board.json (kind, name, MAC, heap, Wi-
Fi), console.log, events.jsonl (the events that the firmware prints, and the supervisor's own) and,
while powered, serial.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fwchain import files
from fwchain.board import boards, otadata
from fwchain.board.flash import Flash
from fwchain.board.image import ImageError, describe
from fwchain.board.partition_table import PartitionTable
from fwchain.board.runtime.vb import appimage
from fwchain.board.runtime.vb import flash as nor
from fwchain.board.runtime.vb import state as st
from fwchain.board.supervisor import Supervisor
from fwchain.errors import SetupError
from fwchain.events import Reader

CONFIG_NAME = "board.json"
EVENTS_NAME = "events.jsonl"
CONSOLE_NAME = "console.log"


class VirtualBoard:
    """The board in `folder`; raises SetupError when the folder is none."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / CONFIG_NAME
        try:
            self.config: dict[str, Any] = json.loads(path.read_text())
            self.name: str = self.config["name"]
            self.kind = boards.load(self.config["board"])
            self.mac = bytes.fromhex(self.config["mac"].replace(":", ""))
        except FileNotFoundError:
            raise SetupError(f"{self.folder} is no virtual board: make one with `fwchain board new`") from None
        except (OSError, ValueError, KeyError) as error:
            raise SetupError(f"{path} cannot be read ({error!r}): make the board anew") from error
        if not (self.folder / "flash.bin").is_file():
            raise SetupError(f"{self.folder} has no flash.bin: make a new board")
        self._flash: Flash | None = None
        self._supervisor: Supervisor | None = None
        self._events = Reader(self.folder / EVENTS_NAME)

    @classmethod
    def create(
        cls,
        folder: Path | str,
        layout: str = "virtual",
        mac: str | bytes | None = None,
        *,
        name: str | None = None,
        heap: int | None = None,
        wifi: dict[str, str] | None = None,
        table: bool = True,
    ) -> VirtualBoard:
        """Make a board of kind boards/`layout` with an erased flash that holds only a partition
        table.

        `mac`: "aa:bb:…" or 6 bytes; by default derived from the folder's path. `heap`: bytes. `wifi`: the access
        points that there are, SSID → key; None: any. `table` False leaves the flash all erased.
        """
        folder = Path(folder)
        kind = boards.load(layout)
        if (folder / CONFIG_NAME).exists():
            raise SetupError(f"{folder} holds a board already")
        if mac is None:
            seed = hashlib.sha256(str(folder.resolve()).encode()).digest()
            mac = kind.mac_prefix + seed[:3]
        elif isinstance(mac, str):
            mac = _mac(mac)
        if len(mac) != 6:
            raise SetupError("a MAC has 6 bytes, like 24:0a:c4:01:02:03")
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "name": name or folder.name,
            "board": layout,
            "mac": mac.hex(":"),
            "heap": heap or kind.heap,
            "wifi": wifi,
        }
        with files.named(folder):
            with Flash.create(folder / "flash.bin", kind.flash_size) as flash:
                if table:
                    flash.program(kind.partition_table_offset, kind.table.to_binary())
            files.replace(folder / CONFIG_NAME, (json.dumps(config, indent=2) + "\n").encode())
        return cls(folder)

    # flash

    @property
    def flash(self) -> Flash:
        """The flash, mapped; a running board sees every change at once."""
        if self._flash is None:
            self._flash = Flash(self.folder / "flash.bin")
        return self._flash

    @property
    def table(self) -> PartitionTable:
        """The partition table that is in the flash; TableError when there is none."""
        return PartitionTable.from_flash(self.flash.mem, self.flash.size)

    def flash_image(self, slot: int, image: bytes, select: bool = True) -> None:
        """Write an application image into OTA slot `slot`, and with `select` make it the one that
        boots.
        """
        slots = self.table.ota_slots
        if not 0 <= slot < len(slots):
            raise SetupError(f"no slot {slot}: this layout has {len(slots)}")
        if len(image) > slots[slot].size:
            raise ImageError(f"image has {len(image)} bytes, slot {slot} has {slots[slot].size}")
        describe(image)
        self.flash.write(slots[slot].offset, image)
        if select:
            otadata.choose(self.flash, self.table, slot)

    def read_image(self, slot: int) -> bytes:
        """The image in OTA slot `slot`, exactly its length; ImageError when there is none."""
        part = self.table.ota_slots[slot]
        try:
            length = appimage.length(self.flash.mem, part.offset, part.size)
        except appimage.BadImage as error:
            raise ImageError(str(error)) from error
        return self.flash.read(part.offset, length)

    def provision(
        self,
        files: Mapping[str, bytes] | None = None,
        nvs: Mapping[str, Mapping[str, int | bytes]] | None = None,
    ) -> None:
        """Write files (path → content) to littlefs and values (namespace → key → int or bytes) to NVS; board off."""
        from fwchain.board import provision

        if self.running:
            raise SetupError(f"{self.name} is running: switch it off to write its files from outside")
        provision.provision(self.flash, self.table, files, nvs)

    def flip(self, offset: int, slot: int | None = None, mask: int = 1) -> int:
        """Flip a bit of the flash byte at `offset` (with `slot`: from that slot's start); returns
        the address.
        """
        if slot is not None:
            offset += self.table.ota_slots[slot].offset
        self.flash.flip(offset, mask)
        return offset

    def wifi_down(self, down: bool = True) -> None:
        """Switch the access points off, or on again."""
        bits = st.get(self.flash.state, st.WIFI)
        bits = bits | st.WIFI_DOWN if down else bits & ~st.WIFI_DOWN
        st.put(self.flash.state, st.WIFI, bits)

    def cut_at(self, operation: int | None, phase: str = "before") -> None:
        """Cut power at the `operation`-th flash operation from now: before, mid, bits or after."""
        self.flash.cut_at(operation, nor.PHASES.index(phase))

    # power

    @property
    def ip(self) -> str:
        """The board's own loopback address."""
        return loopback_address(self.mac)

    def start(
        self,
        *,
        serial: bool = False,
        reboot_after_cut: bool = False,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        """Power on. `serial`: with a REPL behind a pty and a TCP port. `on_line` sees each line of
        the console.
        """
        if self._supervisor is not None and self._supervisor.alive:
            raise SetupError(f"{self.name} is running already")
        self._supervisor = Supervisor(
            self.folder,
            self.name,
            self.kind,
            self.mac,
            heap=int(self.config["heap"]),
            wifi=self.config.get("wifi"),
            ip=self.ip,
            serial=serial,
            reboot_after_cut=reboot_after_cut,
            on_line=on_line,
        )
        self._supervisor.start()

    def stop(self) -> None:
        """Power off and wait until the process has gone. What was not in flash is lost, as with
        any board.
        """
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None

    kill = stop  # pulling the plug is the only way to switch a board off

    def reset(self) -> None:
        """Press the reset button; works on a board that another process runs, too."""
        st.put(self.flash.state, st.CONTROL, st.CONTROL_RESET)

    @property
    def supervisor(self) -> Supervisor:
        """The running board's supervisor; SetupError when this process does not run it."""
        if self._supervisor is None:
            raise SetupError(f"{self.name} is not powered")
        return self._supervisor

    @property
    def running(self) -> bool:
        """Whether the board's process runs (in this process's care)."""
        return self._supervisor is not None and self._supervisor.process_alive

    def wait(self, timeout: float = 60.0) -> str:
        """Wait until the firmware's process ends for good; returns "idle", "off", "sleep" or
        "download".
        """
        return self.supervisor.wait(timeout)

    def console(self) -> str:
        """All that the console has printed."""
        try:
            return (self.folder / CONSOLE_NAME).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def events(self) -> list[dict[str, Any]]:
        """Events since the last call."""
        return self._events.read()

    def rewind(self) -> None:
        """Let `events` begin anew, after events.jsonl was removed."""
        self._events = Reader(self.folder / EVENTS_NAME)

    # reports

    def status(self) -> dict[str, Any]:
        """Slots, states, versions, counters and wear, as `fwchain board status --json` prints
        them.
        """
        flash, table = self.flash, self.table
        data = otadata.read(flash, table)
        running = st.get(flash.state, st.RUNNING)
        slots = []
        for number, part in enumerate(table.ota_slots):
            slots.append(
                {
                    "slot": part.name,
                    "offset": part.offset,
                    "size": part.size,
                    "state": otadata.slot_state(flash, table, number),
                    "running": part.offset == running,
                    **_image_of(flash, part.offset, part.size),
                }
            )
        erases, programs = flash.wear()
        wear = [
            {
                "partition": part.name,
                "erases": sum(erases[_sectors(part)]),
                "worst_sector": max(erases[_sectors(part)]),
                "programs": sum(programs[_sectors(part)]),
            }
            for part in table
        ]
        return {
            "name": self.name,
            "board": self.kind.name,
            "mac": self.mac.hex(":"),
            "ip": self.ip,
            "slots": slots,
            "otadata": {
                "active": data.active,
                "entries": [{"seq": e.seq, "state": e.state_name} for e in data.entries],
            },
            "boots": st.get(flash.state, st.BOOTS),
            "reset_cause": st.get(flash.state, st.RESET_CAUSE),
            "flash_operations": flash.operations,
            "violations": flash.violations,
            "wear": wear,
        }

    def close(self) -> None:
        """Power off and give the flash's map back."""
        self.stop()
        if self._flash is not None:
            self._flash.close()
            self._flash = None

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def loopback_address(mac: bytes) -> str:
    """A board's own address in 127.0.0.0/8, from its MAC; 127.0.0.1 where there is but one
    (macOS).
    """
    if os.uname().sysname != "Linux":
        return "127.0.0.1"
    return f"127.{1 + mac[3] % 254}.{mac[4]}.{1 + mac[5] % 254}"


def _sectors(part: Any) -> slice:
    return slice(part.offset // 4096, part.end // 4096)


def _image_of(flash: Flash, offset: int, size: int) -> dict[str, Any]:
    try:
        length = appimage.verify(flash.mem, offset, size)
    except appimage.BadImage as error:
        blank = flash.read(offset, 16) == b"\xff" * 16
        return {"version": None, "model": None, "length": 0, "image": "-" if blank else str(error)}
    version, model = appimage.description(flash.mem, offset) or (None, None)
    return {"version": version, "model": model, "length": length, "image": "ok"}


def _mac(text: str) -> bytes:
    """The bytes of a MAC in hex; none where it is not hex."""
    try:
        return bytes.fromhex(text.replace(":", "").replace("-", ""))
    except ValueError:
        return b""
