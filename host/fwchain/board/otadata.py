"""otadata as the host sees it: which slot boots, in which state."""

from __future__ import annotations

from dataclasses import dataclass

from fwchain.board.flash import Flash
from fwchain.board.partition_table import PartitionTable
from fwchain.board.runtime.vb import otadata as ota


@dataclass(frozen=True)
class Entry:
    """One of the two otadata entries."""

    seq: int
    state: int
    crc: int

    @property
    def valid(self) -> bool:
        """Whether the boot loader lets this entry choose the slot."""
        return bool(ota.valid((self.seq, self.state, self.crc)))

    @property
    def state_name(self) -> str:
        """NEW, PENDING_VERIFY, VALID, INVALID, ABORTED, UNDEFINED, or the number."""
        return ota.STATE_NAMES.get(self.state, f"0x{self.state:x}")


@dataclass(frozen=True)
class OtaData:
    """Both entries and the index of the active one (-1: none)."""

    entries: tuple[Entry, Entry]
    active: int


def read(flash: Flash, table: PartitionTable) -> OtaData:
    """Read otadata; raises LookupError when the table has no such partition."""
    two = ota.read(flash.nor, table.otadata.offset)
    return OtaData((Entry(*two[0]), Entry(*two[1])), ota.active(two))


def slot_state(flash: Flash, table: PartitionTable, slot: int) -> str:
    """State of OTA slot `slot` by the newest entry that names it; "-" when none does."""
    data = read(flash, table)
    count = len(table.ota_slots)
    best = None
    for entry in data.entries:
        named = entry.seq != ota.UNSET and entry.crc == ota.seq_crc(entry.seq)
        if named and (entry.seq - 1) % count == slot and (best is None or entry.seq > best.seq):
            best = entry
    return best.state_name if best else "-"


def choose(flash: Flash, table: PartitionTable, slot: int, state: int = ota.VALID) -> None:
    """Make `slot` the one that boots, in `state` (a freshly flashed board: VALID)."""
    ota.choose(flash.nor, table.otadata.offset, slot, len(table.ota_slots), state)
