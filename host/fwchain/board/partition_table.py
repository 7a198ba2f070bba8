"""Partition tables: ESP-IDF's CSV and its binary form, and the check that a layout can be updated
over the air.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fwchain.board.runtime.vb import parts
from fwchain.board.runtime.vb.parts import TABLE_MAX, TABLE_OFFSET, TableError

__all__ = ["TABLE_OFFSET", "Partition", "PartitionTable", "TableError"]

TYPES = {"app": parts.APP, "data": parts.DATA}
APP_SUBTYPES = {"factory": parts.FACTORY, "test": parts.TEST} | {f"ota_{n}": parts.OTA_0 + n for n in range(16)}
DATA_SUBTYPES = {
    "ota": 0x00,
    "phy": 0x01,
    "nvs": 0x02,
    "coredump": 0x03,
    "nvs_keys": 0x04,
    "efuse": 0x05,
    "undefined": 0x06,
    "esphttpd": 0x80,
    "fat": 0x81,
    "spiffs": 0x82,
    "littlefs": 0x83,
}
SUBTYPES = {parts.APP: APP_SUBTYPES, parts.DATA: DATA_SUBTYPES}
FIRST_OFFSET = TABLE_OFFSET + 0x1000
APP_ALIGNMENT = 0x10000


@dataclass(frozen=True)
class Partition:
    """One partition; offset and size in bytes."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int
    encrypted: bool = False

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size

    @property
    def kind(self) -> str:
        """Type and subtype in ESP-IDF's words."""
        for word, number in TYPES.items():
            if number == self.type:
                for subword, subnumber in SUBTYPES[number].items():
                    if subnumber == self.subtype:
                        return f"{word}/{subword}"
                return f"{word}/0x{self.subtype:02x}"
        return f"0x{self.type:02x}/0x{self.subtype:02x}"


class PartitionTable:
    """Partitions in the table's order."""

    def __init__(self, partitions: list[Partition]) -> None:
        self.partitions = partitions

    def __iter__(self) -> Iterator[Partition]:
        return iter(self.partitions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartitionTable) and self.partitions == other.partitions

    def __getitem__(self, name: str) -> Partition:
        for partition in self.partitions:
            if partition.name == name:
                return partition
        raise LookupError(f"no partition named {name!r}; there are: {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """Labels in the table's order."""
        return [p.name for p in self.partitions]

    def find(self, kind: int, subtype: int) -> Partition | None:
        """The first partition of that type and subtype."""
        for partition in self.partitions:
            if partition.type == kind and partition.subtype == subtype:
                return partition
        return None

    @property
    def otadata(self) -> Partition:
        """The otadata partition; LookupError when the layout has none."""
        found = self.find(parts.DATA, parts.DATA_OTA)
        if found is None:
            raise LookupError("no otadata partition: this layout has no OTA")
        return found

    @property
    def ota_slots(self) -> list[Partition]:
        """ota_0, ota_1 … up to the first that is missing."""
        return [_partition(e) for e in parts.ota_slots(self.entries())]

    def entries(self) -> list[tuple]:
        """As the shared code of host and board takes them."""
        return [(p.type, p.subtype, p.offset, p.size, p.name, p.encrypted) for p in self.partitions]

    def to_binary(self) -> bytes:
        """The 0xC00 bytes that ESP-IDF's gen_esp32part.py makes."""
        return bytes(parts.pack(self.entries()))

    @classmethod
    def from_binary(cls, data: bytes) -> PartitionTable:
        """Read a binary table; raises TableError when it is none or its MD5 is wrong."""
        return cls([_partition(e) for e in parts.parse(data[:TABLE_MAX])])

    @classmethod
    def from_flash(cls, mem: memoryview | bytes, flash_size: int) -> PartitionTable:
        """The table in a flash; what it leaves over counts as `vfs`, as in MicroPython."""
        return cls([_partition(e) for e in parts.read(mem, flash_size)])

    @classmethod
    def from_csv(cls, text: str) -> PartitionTable:
        """Read ESP-IDF's CSV (Name, Type, SubType, Offset, Size, Flags); an offset may be empty."""
        found: list[Partition] = []
        end = FIRST_OFFSET
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            try:
                partition = _csv_row(line, end)
            except ValueError as error:
                raise TableError(f"partitions.csv line {number}: {error}") from error
            if partition.offset < end:
                raise TableError(
                    f"partitions.csv line {number}: {partition.name} at 0x{partition.offset:x} "
                    f"overlaps what ends at 0x{end:x}"
                )
            end = partition.end
            found.append(partition)
        table = cls(found)
        table.verify()
        return table

    @classmethod
    def from_file(cls, path: Path | str) -> PartitionTable:
        """Read a .csv or binary table."""
        data = Path(path).read_bytes()
        if data[:2] == b"\xaa\x50":
            return cls.from_binary(data)
        return cls.from_csv(data.decode())

    def to_csv(self) -> str:
        """As gen_esp32part.py prints it."""
        rows = ["# ESP-IDF Partition Table", "# Name, Type, SubType, Offset, Size, Flags"]
        for p in self.partitions:
            kind, _, subtype = p.kind.partition("/")
            flags = "encrypted" if p.encrypted else ""
            rows.append(f"{p.name},{kind},{subtype},0x{p.offset:x},{_size(p.size)},{flags}")
        return "\n".join(rows) + "\n"

    def verify(self) -> None:
        """Raise TableError when names repeat, partitions overlap or an app is not aligned to 64
        KiB.
        """
        names = self.names
        for name in names:
            if names.count(name) > 1:
                raise TableError(f"partition name {name!r} appears twice")
            if len(name.encode()) > 16:
                raise TableError(f"partition name {name!r} is longer than 16 bytes")
        end = FIRST_OFFSET
        for p in sorted(self.partitions, key=lambda p: p.offset):
            if p.offset < end:
                raise TableError(f"{p.name} at 0x{p.offset:x} overlaps what ends at 0x{end:x}")
            alignment = APP_ALIGNMENT if p.type == parts.APP else 0x1000
            if p.offset % alignment:
                raise TableError(f"{p.name} at 0x{p.offset:x} is not aligned to 0x{alignment:x}")
            end = p.end
        ota = [p for p in self if p.type == parts.DATA and p.subtype == parts.DATA_OTA]
        if len(ota) > 1:
            raise TableError("more than one otadata partition")
        if ota and ota[0].size != 0x2000:
            raise TableError(f"otadata has 0x{ota[0].size:x} bytes, must have 0x2000")

    def check_ota(self, flash_size: int) -> None:
        """Raise TableError naming what this layout lacks for updates over the air."""
        end = max(p.end for p in self.partitions)
        if end > flash_size:
            raise TableError(f"layout ends at 0x{end:x}, flash has 0x{flash_size:x} bytes")
        slots = self.ota_slots
        if len(slots) < 2:
            raise TableError(f"{len(slots)} OTA slot(s), two are needed: take the OTA variant of the firmware")
        if len({p.size for p in slots}) > 1:
            raise TableError("OTA slots differ in size")
        if self.find(parts.DATA, parts.DATA_OTA) is None:
            raise TableError("no otadata partition")
        nvs = self.find(parts.DATA, parts.DATA_NVS)
        if nvs is None or nvs.size < 0x3000:
            raise TableError("no nvs partition of at least 0x3000 bytes")


def _partition(entry: tuple) -> Partition:
    kind, subtype, offset, size, name, encrypted = entry
    return Partition(name, kind, subtype, offset, size, encrypted)


def _number(text: str) -> int:
    for suffix, factor in (("k", 1024), ("m", 1024 * 1024)):
        if text.lower().endswith(suffix):
            return int(text[:-1], 0) * factor
    return int(text, 0)


def _word(text: str, words: dict[str, int], field: str) -> int:
    if text.lower() in words:
        return words[text.lower()]
    try:
        return _number(text)
    except ValueError:
        raise ValueError(f"{field} {text!r} is none of {', '.join(words)}") from None


def _csv_row(line: str, end: int) -> Partition:
    fields = [field.strip() for field in (line + ",,,,,").split(",")]
    name, kind_text, subtype_text, offset_text, size_text, flags = fields[:6]
    kind = _word(kind_text, TYPES, "type")
    if subtype_text or kind == parts.APP:
        subtype = _word(subtype_text, SUBTYPES.get(kind, {}), "subtype")
    else:
        subtype = DATA_SUBTYPES["undefined"]
    alignment = APP_ALIGNMENT if kind == parts.APP else 0x1000
    offset = _number(offset_text) if offset_text else -(-end // alignment) * alignment
    if not size_text:
        raise ValueError("size is empty")
    size = _number(size_text)
    if size < 0:
        size = -size - offset
    if flags not in ("", "encrypted"):
        raise ValueError(f"unknown flag {flags!r}")
    return Partition(name, kind, subtype, offset, size, flags == "encrypted")


def _size(size: int) -> str:
    if size % 0x100000 == 0:
        return f"{size // 0x100000}M"
    return f"{size // 1024}K" if size % 1024 == 0 else f"0x{size:x}"
