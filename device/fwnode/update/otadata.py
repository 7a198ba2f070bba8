"""otadata as ESP-IDF's boot loader writes it: which slot was chosen, and how its trial went.

Two sectors, each with one entry of 32 bytes: sequence u32, label 20, state u32, CRC-32 of the sequence.
Slot = (sequence - 1) mod number of slots; the highest sequence that is neither aborted nor invalid boots.
"""

import binascii
import struct

from fwnode.compat import const
from fwnode.update.slots import Slots, SlotView

NEW = const(0)  # chosen, not yet booted
PENDING = const(1)  # booted once, not confirmed
VALID = const(2)
INVALID = const(3)
ABORTED = const(4)  # reset before its confirmation
_TYPE_DATA_OTA = const(0)  # sub-type of otadata


def state(slots: Slots, view: SlotView):  # type: ignore[no-untyped-def]
    """The state in the newest entry for the slot, or None when there is no entry (or no otadata)."""
    best = None
    for _, sequence, value in _entries(slots, view):
        if best is None or sequence >= best[0]:
            best = (sequence, value)
    return best[1] if best else None


def clear_aborted(slots: Slots, view: SlotView) -> None:
    """Erase the entries that say that this slot's last trial failed.

    Such an entry never boots, so losing it at any moment of the erase changes no choice; while it stood, a later
    power cut just before `set_boot` would look like a failed trial of the new release.
    """
    for sector, _, value in _entries(slots, view):
        if value in (INVALID, ABORTED):
            _part(slots).ioctl(6, sector)


def _part(slots: Slots):  # type: ignore[no-untyped-def]
    found = slots.partition.find(slots.partition.TYPE_DATA, subtype=_TYPE_DATA_OTA)
    return found[0] if found else None


def _entries(slots: Slots, view: SlotView) -> list:
    """(sector, sequence, state) of each sound entry for the slot."""
    part = _part(slots)
    if part is None:
        return []
    count = 0
    for app in slots.partition.find(slots.partition.TYPE_APP):
        if 0x10 <= app.info()[1] < 0x20:
            count += 1
    found = []
    entry = bytearray(32)
    for sector in (0, 1):
        try:
            part.readblocks(sector, entry, 0)
        except OSError:
            continue
        sequence, value, crc = struct.unpack("<I20xII", entry)
        if not sequence or sequence == 0xFFFFFFFF or binascii.crc32(entry[:4], 0xFFFFFFFF) != crc:
            continue
        if count and (sequence - 1) % count == view.index:
            found.append((sector, sequence, value))
    return found
