"""MicroPython's `esp32` module over the virtual board's flash: Partition and NVS, errors included.

Facts: MicroPython ports/esp32 (esp32_partition.c, esp32_nvs.c), ESP-IDF esp_partition.c,
esp_ota_ops.c.
"""

import gc

from vb import appimage, hw, otadata, parts
from vb.nvs import Nvs as _Nvs
from vb.nvspages import NvsError

HEAP_DATA = 4
HEAP_EXEC = 1

_INVALID_ARG = 0x102
_INVALID_SIZE = 0x104
_NOT_FOUND = 0x105
_VALIDATE_FAILED = 0x1503
_NAMES = {
    _INVALID_ARG: "ESP_ERR_INVALID_ARG",
    _INVALID_SIZE: "ESP_ERR_INVALID_SIZE",
    _NOT_FOUND: "ESP_ERR_NOT_FOUND",
    _VALIDATE_FAILED: "ESP_ERR_OTA_VALIDATE_FAILED",
}
_SECTOR = 4096


def _error(code):
    return OSError(-code, _NAMES[code])


class Partition:
    """A partition of the flash, as a block device of 4,096-byte blocks (or a fraction of that)."""

    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id, block_size=_SECTOR):
        if isinstance(id, tuple):
            entry = id
        elif isinstance(id, str):
            found = parts.find(hw.entries, parts.APP, None, id)
            found = found or parts.find(hw.entries, parts.DATA, None, id)
            entry = found[0] if found else None
        elif id == self.BOOT:
            entry = _boot_entry()
        elif id == self.RUNNING:
            entry = hw.running
        else:
            raise ValueError
        if entry is None:
            raise OSError(2)
        if block_size <= 0 or _SECTOR % block_size:
            raise ValueError
        self._entry = entry
        self._block = block_size

    def __repr__(self):
        return "<Partition type={}, subtype={}, address={}, size={}, label={}, encrypted={}>".format(
            *self._entry[:5], int(self._entry[5])
        )

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=_SECTOR):
        """Partitions of that type, subtype and label."""
        subtype = None if subtype == 0xFF else subtype
        return [Partition(e, block_size) for e in parts.find(hw.entries, type, subtype, label)]

    def info(self):
        """(type, subtype, address, size, label, encrypted)."""
        return self._entry

    def _at(self, offset, size):
        _, _, address, total, _, _ = self._entry
        if offset > total or offset < 0:
            raise _error(_INVALID_ARG)
        if offset + size > total:
            raise _error(_INVALID_SIZE)
        return address + offset

    def readblocks(self, block, buf, offset=0):
        """Fill `buf` from a block on."""
        hw.nor.readinto(self._at(block * self._block + offset, len(buf)), buf)

    def writeblocks(self, block, buf, offset=None):
        """Erase the blocks and write `buf`; with an offset: write without erasing."""
        if offset is not None:
            hw.nor.program(self._at(block * self._block + offset, len(buf)), buf)
            return
        start = block * self._block
        if self._block != _SECTOR:
            self._rewrite(start, memoryview(buf))
            return
        at = self._at(start, len(buf))
        if len(buf) % _SECTOR:
            raise _error(_INVALID_SIZE)
        hw.nor.erase(at, len(buf))
        hw.nor.program(at, buf)

    def _rewrite(self, start, buf):
        """Blocks smaller than a sector: read the sector, change it, erase it, write it."""
        self._at(start, len(buf))
        cache = bytearray(_SECTOR)
        done = 0
        while done < len(buf):
            inside = (start + done) % _SECTOR
            at = self._at(start + done - inside, _SECTOR)
            n = min(_SECTOR - inside, len(buf) - done)
            hw.nor.readinto(at, cache)
            cache[inside : inside + n] = buf[done : done + n]
            hw.nor.erase(at, _SECTOR)
            hw.nor.program(at, cache)
            done += n

    def ioctl(self, cmd, arg):
        """Block device protocol: 1 to 3 do nothing, 4 count of blocks, 5 their size, 6 erase one."""
        if 1 <= cmd <= 3:
            return 0
        if cmd == 4:
            return self._entry[3] // self._block
        if cmd == 5:
            return self._block
        if cmd == 6:
            if self._block != _SECTOR:
                return -22
            hw.nor.erase(self._at(arg * _SECTOR, _SECTOR), _SECTOR)
            return 0
        return None

    def set_boot(self):
        """Boot this partition next; OSError(-5379) when it holds no valid image."""
        kind, subtype, offset, size, _, _ = self._entry
        try:
            appimage.verify(hw.nor.mem, offset, size, hw.chip_id)
        except appimage.BadImage:
            raise _error(_VALIDATE_FAILED)
        at = _otadata()
        if kind != parts.APP or subtype == parts.TEST:
            raise _error(_INVALID_ARG)
        if subtype == parts.FACTORY:
            hw.nor.erase(at, 2 * _SECTOR)
            return
        slots = parts.ota_slots(hw.entries)
        slot = subtype - parts.OTA_0
        if slot >= len(slots):
            raise _error(_INVALID_ARG)
        otadata.choose(hw.nor, at, slot, len(slots))

    def get_next_update(self):
        """The OTA slot after this one."""
        slots = parts.ota_slots(hw.entries)
        for i in range(len(slots)):
            if slots[i] == self._entry:
                return Partition(slots[(i + 1) % len(slots)])
        if not slots:
            raise OSError(2)
        return Partition(slots[0])

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        """Confirm the running image: the boot loader will not roll it back."""
        if not otadata.confirm(hw.nor, _otadata()):
            raise OSError(1, "ESP_FAIL")


def _otadata():
    found = parts.find(hw.entries, parts.DATA, parts.DATA_OTA)
    if not found:
        raise _error(_NOT_FOUND)
    return found[0][2]


def _boot_entry():
    """What esp_ota_get_boot_partition answers."""
    slots = parts.ota_slots(hw.entries)
    two = otadata.read(hw.nor, _otadata())
    active = otadata.active(two)
    if slots and active >= 0:
        return slots[(two[active][0] - 1) % len(slots)]
    factory = parts.find(hw.entries, parts.APP, parts.FACTORY)
    return factory[0] if factory else slots[0] if slots else None


_nvs = None
_pending = []  # (namespace, key, value) set and not committed, in order


def _waiting(ns, key):
    """The value of a key that waits for `commit`, or None."""
    for ns_, key_, value in _pending:
        if ns_ == ns and key_ == key:
            return value
    return None


def _forget(ns, key):
    """Drop what waits for a key; False when nothing did."""
    for i in range(len(_pending)):
        if _pending[i][0] == ns and _pending[i][1] == key:
            _pending.pop(i)
            return True
    return False


def _store():
    global _nvs
    if _nvs is None:
        found = parts.find(hw.entries, parts.DATA, parts.DATA_NVS)
        if not found:
            raise OSError(-0x110F, "ESP_ERR_NVS_PART_NOT_FOUND")
        _nvs = _do(_Nvs, hw.nor, found[0][2], found[0][3])
    return _nvs


def _do(function, *args):
    try:
        return function(*args)
    except NvsError as error:
        code, name = error.args
    raise OSError(-code, name)


class NVS:
    """A namespace of the non-volatile storage. What is set persists with `commit`, as its
    documentation says.

    (Today's ESP-IDF writes at once. A board that lost power before `commit` may have either; this one has not.)
    """

    def __init__(self, namespace):
        if not isinstance(namespace, str):
            raise TypeError("can't convert to str implicitly")
        self._ns = _do(_store().open, namespace)

    def __repr__(self):
        return "<NVS namespace>"

    def _set(self, key, value):
        if len(key.encode()) > 15:
            raise OSError(-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
        _forget(self._ns, key)
        _pending.append((self._ns, key, value))

    def set_i32(self, key, value):
        """Set a 32-bit integer."""
        value = int(value) & 0xFFFFFFFF
        self._set(key, value - (value >> 31 << 32))

    def set_blob(self, key, value):
        """Set bytes."""
        self._set(key, bytes(value))

    def get_i32(self, key):
        """Read a 32-bit integer."""
        value = _waiting(self._ns, key)
        if value is None:
            return _do(_store().get_i32, self._ns, key)
        if not isinstance(value, int):
            raise OSError(-0x1103, "ESP_ERR_NVS_TYPE_MISMATCH")
        return value

    def get_blob(self, key, buf):
        """Read bytes into `buf`; returns their number."""
        value = _waiting(self._ns, key)
        if value is None:
            return _do(_store().get_blob, self._ns, key, memoryview(buf))
        if isinstance(value, int):
            raise OSError(-0x1103, "ESP_ERR_NVS_TYPE_MISMATCH")
        if len(value) > len(buf):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        """Remove a key."""
        waited = _forget(self._ns, key)
        try:
            _store().erase_key(self._ns, key)
        except NvsError as error:
            if not waited:
                raise OSError(-error.args[0], error.args[1])

    def commit(self):
        """Write what was set, in the order in which it was set."""
        store = _store()
        rest = []
        while _pending:
            ns, key, value = _pending.pop(0)
            if ns == self._ns:
                _do(store.set_i32 if isinstance(value, int) else store.set_blob, ns, key, value)
            else:
                rest.append((ns, key, value))
        _pending.extend(rest)


def idf_heap_info(capabilities):
    """[(total, free, largest free block, least free ever)] of the one region there is."""
    free = gc.mem_free()
    return [(free + gc.mem_alloc(), free, free, free)]


def mcu_temperature():
    """Degrees Celsius: a virtual board keeps cool."""
    return 30
