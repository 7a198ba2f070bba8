"""otadata: which slot boots, in which state (ESP-IDF: esp_ota_select_entry_t, two sectors, one
entry in each).

Entry of 32 bytes: sequence u32 · label 20 (unused, FF) · state u32 · CRC-32 of the sequence u32.
The slot is (sequence - 1) mod number of slots. Facts: ESP-IDF bootloader_common_loader.c,
esp_ota_ops.c.
"""

import struct

try:
    from binascii import crc32
except ImportError:
    from zlib import crc32

NEW = 0
PENDING_VERIFY = 1
VALID = 2
INVALID = 3
ABORTED = 4
UNDEFINED = 0xFFFFFFFF
STATE_NAMES = {
    NEW: "NEW",
    PENDING_VERIFY: "PENDING_VERIFY",
    VALID: "VALID",
    INVALID: "INVALID",
    ABORTED: "ABORTED",
    UNDEFINED: "UNDEFINED",
}
SECTOR = 4096
UNSET = 0xFFFFFFFF


def seq_crc(seq):
    """The CRC that an entry with sequence number `seq` carries: esp_rom_crc32_le(0xFFFFFFFF,
    sequence).
    """
    return crc32(struct.pack("<I", seq), 0xFFFFFFFF) & 0xFFFFFFFF


def parse(entry):
    """(seq, state, crc) of a 32-byte entry."""
    seq, _label, state, crc = struct.unpack("<I20sII", bytes(entry[:32]))
    return seq, state, crc


def pack(seq, state):
    """The 32 bytes of an entry."""
    return struct.pack("<I", seq) + b"\xff" * 20 + struct.pack("<II", state, seq_crc(seq))


def invalid(entry):
    """Never written, or its image was found bad."""
    return entry[0] == UNSET or entry[1] in (INVALID, ABORTED)


def valid(entry):
    """May choose the slot to boot."""
    return not invalid(entry) and entry[2] == seq_crc(entry[0])


def active(two):
    """Index of the entry that chooses the slot: the valid one with the higher sequence, or -1."""
    ok = [valid(two[0]), valid(two[1])]
    if ok[0] and ok[1]:
        return 0 if two[0][0] >= two[1][0] else 1
    if ok[0]:
        return 0
    return 1 if ok[1] else -1


def read(nor, offset):
    """The two entries of the otadata partition at `offset`."""
    return [parse(nor.mem[offset + i * SECTOR : offset + i * SECTOR + 32]) for i in (0, 1)]


def write(nor, offset, index, seq, state):
    """Erase one of the two sectors and program its entry."""
    at = offset + index * SECTOR
    nor.erase(at, SECTOR)
    nor.program(at, pack(seq, state))


def next_seq(seq, slot, count):
    """The lowest sequence number ≥ `seq` that chooses `slot` of `count`."""
    value = (slot + 1) % count
    if seq > value:
        value += -(-(seq - value) // count) * count
    return value & 0xFFFFFFFF  # wraps as the C code does: after 0xFFFFFFFE no switch takes effect


def choose(nor, offset, slot, count, state=NEW):
    """Make `slot` the one to boot next (esp_ota_set_boot_partition after its checks)."""
    two = read(nor, offset)
    at = active(two)
    if at < 0:
        write(nor, offset, 0, slot + 1, state)
    else:
        write(nor, offset, at ^ 1, next_seq(two[at][0], slot, count), state)


def confirm(nor, offset):
    """Mark the active entry VALID; False when no entry is active."""
    two = read(nor, offset)
    at = active(two)
    if at < 0:
        return False
    if two[at][1] != VALID:
        write(nor, offset, at, two[at][0], VALID)
    return True
