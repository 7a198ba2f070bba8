"""ESP-IDF's second-stage boot loader with rollback enabled: which slot boots, and what it writes
to otadata.

Facts: ESP-IDF bootloader_utility.c (CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, as MicroPython's OTA
variant is built):

1. An otadata entry that is PENDING_VERIFY at boot becomes ABORTED: its image did not confirm
itself in time. 2. Both entries unusable: the factory app when there is one, else ota_0. When they
were never written (or damaged),
   otadata is set to the slot that really boots, VALID.
3. Else the valid entry with the higher sequence chooses; NEW becomes PENDING_VERIFY.
4. The chosen slot's image is checked (header, chip, segments, checksum, digest). When it is bad,
lower slots and the
   factory app are tried, then higher slots, then the test app.
5. None boots: the chip resets and tries again, for ever.

This runs in the launcher of every boot, so it imports nothing heavy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from fwchain.board.runtime.vb import appimage, otadata, parts
from fwchain.board.runtime.vb import state as st
from fwchain.board.runtime.vb.flash import Nor

FACTORY_INDEX = -1
IDF = "v5.4.1"
CHIPS = {0: "esp32", 5: "esp32c3", 9: "esp32s3"}  # chip ID of an image's header: the name in the log
ROM_LOG = "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"


class Boot(NamedTuple):
    """What boots: the partition's entry, its OTA slot (-1: factory, -2: test), the image's length
    in bytes.
    """

    entry: tuple
    slot: int
    length: int


class NoBootableApp(Exception):
    """No partition holds an image that boots: a real chip resets and tries again for ever."""


class Log:
    """Lines in the form of ESP-IDF's own log, with milliseconds since reset."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._start = time.monotonic()

    def raw(self, text: str) -> None:
        """Text of the ROM loader, as it is."""
        self._write(text)

    def line(self, level: str, tag: str, text: str) -> None:
        """A line of ESP-IDF's log; `level` is I, W or E."""
        ms = 28 + int((time.monotonic() - self._start) * 1000)
        self._write(f"{level} ({ms}) {tag}: {text}\r\n")


class BootLoader:
    """One run of the boot loader over a flash."""

    def __init__(self, nor: Nor, write: Callable[[str], object], chip_id: int = 0, rom_log: str = ROM_LOG) -> None:
        self.nor = nor
        self.rom_log = rom_log
        self.chip_id = chip_id
        self.log = Log(write)
        self.initial = False  # otadata was never written, or is damaged in both sectors

    def run(self) -> Boot:
        """Choose and check; raises NoBootableApp, or TableError without a partition table."""
        self._banner()
        try:
            entries = parts.parse(self.nor.mem[parts.TABLE_OFFSET : parts.TABLE_OFFSET + parts.TABLE_MAX])
        except parts.TableError as error:
            self.log.line("E", "flash_parts", str(error))
            self.log.line("E", "boot", "Failed to verify partition table")
            self.log.line("E", "boot", "load partition table error!")
            raise
        self._show(entries)
        slots = parts.ota_slots(entries)
        factory = self._first(entries, parts.FACTORY)
        test = self._first(entries, parts.TEST)
        index = self._choose(entries, slots, factory)
        order = list(range(min(index, len(slots) - 1), -1, -1))
        if factory:
            order.append(FACTORY_INDEX)
        order += range(index + 1, len(slots))
        for number in order:
            entry = factory if number == FACTORY_INDEX else slots[number]
            length = self._try(entry)
            if length:
                self._set_actual(entries, number)
                return self._loaded(entry, number, length)
            what = "Factory app partition" if number < 0 else f"OTA app partition slot {number}"
            self.log.line("E", "boot", f"{what} is not bootable")
        if test:
            length = self._try(test)
            if length:
                self.log.line("W", "boot", "Falling back to test app as only bootable partition")
                return self._loaded(test, -2, length)
        self.log.line("E", "boot", "No bootable app partitions in the partition table")
        raise NoBootableApp

    @staticmethod
    def _first(entries: list[tuple], subtype: int) -> tuple:
        found = parts.find(entries, parts.APP, subtype)
        return found[0] if found else ()

    def _banner(self) -> None:
        self.log.raw(self.rom_log)
        self.log.line("I", "boot", f"ESP-IDF {IDF} 2nd stage bootloader (virtual)")
        self.log.line(
            "I", f"boot.{CHIPS.get(self.chip_id, 'esp32')}", f"SPI Flash Size : {self.nor.size // 0x100000}MB"
        )

    def _show(self, entries: list[tuple]) -> None:
        line = self.log.line
        line("I", "boot", "Partition Table:")
        line("I", "boot", "## Label            Usage          Type ST Offset   Length")
        for number, (kind, subtype, offset, size, name, _) in enumerate(entries):
            usage = "unknown"
            if kind == parts.APP:
                ota = 0x10 <= subtype < 0x20
                names = {parts.FACTORY: "factory app", parts.TEST: "test app"}
                usage = "OTA app" if ota else names.get(subtype, "Unknown app")
            elif kind == parts.DATA:
                usage = {0: "OTA data", 1: "RF data", 2: "WiFi data"}.get(subtype, "Unknown data")
            line(
                "I",
                "boot",
                f"{number:2d} {name:<16} {usage:<16} {kind:02x} {subtype:02x} {offset:08x} {size:08x}",
            )
        line("I", "boot", "End of partition table")

    def _choose(self, entries: list[tuple], slots: list[tuple], factory: tuple) -> int:
        """The slot that otadata asks for; writes ABORTED and PENDING_VERIFY."""
        found = parts.find(entries, parts.DATA, parts.DATA_OTA)
        if not found:
            return FACTORY_INDEX
        at = found[0][2]
        two = otadata.read(self.nor, at)
        for i in (0, 1):
            if two[i][1] == otadata.PENDING_VERIFY:
                two[i] = (two[i][0], otadata.ABORTED, two[i][2])
                self._write(at, i, two[i])
        if (otadata.invalid(two[0]) and otadata.invalid(two[1])) or not slots:
            if factory:
                self.log.line("I", "boot", "Defaulting to factory image")
                return FACTORY_INDEX
            self.log.line("I", "boot", "No factory image, trying OTA 0")
            self.initial = all(e[0] == otadata.UNSET or e[2] != otadata.seq_crc(e[0]) for e in two)
            return 0
        active = otadata.active(two)
        if active < 0:
            fallback = "falling back to factory" if factory else "and no factory, will try all"
            self.log.line("E", "boot", f"ota data partition invalid {fallback} partitions")
            return FACTORY_INDEX
        seq, state, crc = two[active]
        if state == otadata.NEW:
            self._write(at, active, (seq, otadata.PENDING_VERIFY, crc))
        return int((seq - 1) % len(slots))

    def _write(self, at: int, index: int, entry: tuple[int, int, int]) -> None:
        """Rewrite an entry with its own CRC, right or wrong, as the boot loader does."""
        seq, state, crc = entry
        packed = bytearray(otadata.pack(seq, state))
        packed[28:32] = crc.to_bytes(4, "little")
        self.nor.erase(at + index * otadata.SECTOR, otadata.SECTOR)
        self.nor.program(at + index * otadata.SECTOR, packed)

    def _try(self, entry: tuple) -> int:
        """Length of the image in the partition, or 0 when the boot loader refuses it."""
        _, _, offset, size, *_ = entry
        try:
            return int(appimage.verify(self.nor.mem, offset, size, self.chip_id))
        except appimage.BadImage as error:
            self.log.line("E", "esp_image", str(error))
            return 0

    def _set_actual(self, entries: list[tuple], number: int) -> None:
        if number > FACTORY_INDEX and self.initial:
            at = parts.find(entries, parts.DATA, parts.DATA_OTA)[0][2]
            otadata.write(self.nor, at, 0, number + 1, otadata.VALID)
            self.log.line("I", "boot", f"Set actual ota_seq={number + 1} in otadata[0]")

    def _loaded(self, entry: tuple, slot: int, length: int) -> Boot:
        offset = entry[2]
        for number, (address, at, size) in enumerate(appimage.segments(self.nor.mem, offset, entry[3])[0]):
            self.log.line(
                "I",
                "esp_image",
                f"segment {number}: paddr={at:08x} vaddr={address:08x} size={size:05x}h ({size:6d}) map",
            )
        self.log.line("I", "boot", f"Loaded app from partition at offset 0x{offset:x}")
        self.log.line("I", "boot", "Disabling RNG early entropy source...")
        st.put(self.nor.state, st.RUNNING, offset)
        return Boot(entry, slot, length)
