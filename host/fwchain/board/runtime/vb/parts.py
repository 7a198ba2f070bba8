"""The partition table as it lies in flash (ESP-IDF: esp_partition_info_t), read by host and board.

Entries of 32 bytes: magic AA 50, type u8, subtype u8, offset u32, size u32, label 16, flags u32;
closed by an entry with magic EB EB, 14 bytes of FF and the MD5 of all entries before it; then FF.
"""

import hashlib
import struct

TABLE_OFFSET = 0x8000
TABLE_MAX = 0xC00

APP = 0
DATA = 1
FACTORY = 0x00
OTA_0 = 0x10
TEST = 0x20
DATA_OTA = 0x00
DATA_PHY = 0x01
DATA_NVS = 0x02
DATA_FAT = 0x81

_ENTRY = "<HBBII16sI"


class TableError(Exception):
    """The bytes are no partition table; the message names the entry and what is wrong."""


def parse(table):
    """Entries (type, subtype, offset, size, label, encrypted) of a binary table."""
    entries = []
    digest = hashlib.md5()
    for at in range(0, min(len(table), TABLE_MAX), 32):
        entry = bytes(table[at : at + 32])
        if entry == b"\xff" * 32:
            break
        magic, kind, subtype, offset, size, label, flags = struct.unpack(_ENTRY, entry)
        if magic == 0xEBEB:
            if entry[16:] != digest.digest():
                raise TableError("partition table: MD5 does not match its entries")
            continue
        if magic != 0x50AA:
            raise TableError("partition table: entry {} has magic 0x{:04x}".format(at // 32, magic))
        digest.update(entry)
        end = label.find(b"\x00")
        name = str(label if end < 0 else label[:end], "utf-8")
        entries.append((kind, subtype, offset, size, name, bool(flags & 1)))
    if not entries:
        raise TableError("partition table: no entry (flash erased?)")
    return entries


def pack(entries):
    """The binary table of `entries`, with MD5, padded with FF to `TABLE_MAX` bytes."""
    out = b""
    for kind, subtype, offset, size, name, encrypted in entries:
        label = name.encode()
        out += struct.pack(
            _ENTRY,
            0x50AA,
            kind,
            subtype,
            offset,
            size,
            label + bytes(16 - len(label)),
            int(encrypted),
        )
    out += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(out).digest()
    if len(out) >= TABLE_MAX:
        raise TableError("partition table: {} bytes, limit {}".format(len(out), TABLE_MAX))
    return out + b"\xff" * (TABLE_MAX - len(out))


def read(mem, flash_size):
    """The table in flash `mem`; the rest of the flash is `vfs` when no entry says so, as
    MicroPython does.
    """
    entries = parse(mem[TABLE_OFFSET : TABLE_OFFSET + TABLE_MAX])
    end = 0
    for entry in entries:
        if entry[4] == "vfs":
            return entries
        end = max(end, entry[2] + entry[3])
    end = (end + 4095) & ~4095
    if end < flash_size:
        entries.append((DATA, DATA_FAT, end, flash_size - end, "vfs", False))
    return entries


def find(entries, kind, subtype=None, label=None):
    """Entries of that type, subtype (None: any) and label (None: any), in the table's order."""
    return [e for e in entries if e[0] == kind and subtype in (None, e[1]) and label in (None, e[4])]


def ota_slots(entries):
    """OTA app entries ota_0, ota_1 … without a gap, as the boot loader counts them."""
    slots = []
    for number in range(16):
        found = find(entries, APP, OTA_0 + number)
        if not found:
            break
        slots.append(found[0])
    return slots
