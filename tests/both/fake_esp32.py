"""A board's flash, otadata, NVS and boot loader in RAM, with power cuts; for both interpreters.

Written from ESP-IDF's rules and on purpose without any code of `fwnode.update`, so that an error is not made twice.
A flash operation is a sector erase, a program of at most 256 bytes, or an NVS entry.
"""

import binascii
import hashlib
import struct

SECTOR = 4096
NEW, PENDING, VALID, INVALID, ABORTED = range(5)
NOT_FOUND = -0x1102


_ERASED = b"\xff" * 256
_POOL = {}  # one board at a time: its slots are used again, since a small heap has no room for more


def _blank(name, size):
    data = _POOL.get((name, size))
    if data is None:
        data = _POOL[name, size] = bytearray(size)
    _wipe(data, 0, size)
    return data


def _wipe(data, start, end):
    for at in range(start, end, 256):
        data[at : at + 256] = _ERASED


class PowerCut(Exception):
    """Power is gone."""


def app_image(body=b"", version="1.0.0", chip=0, project="demo", digest=True, segments=1):
    """An application image: description, then `body`, in `segments` segments; a bytearray."""
    total = (256 + len(body) + 3) & ~3
    size = total // segments // 4 * 4
    checked = (24 + 8 * segments + total + 16) & ~15
    image = bytearray(checked + (32 if digest else 0))
    struct.pack_into("<BBBBIBBBBHB8xB", image, 0, 0xE9, segments, 2, 0x20, 0x40080000, 0, 0, 0, 0, chip, 0, digest)
    struct.pack_into("<I12x32s32s", image, 32, 0xABCD5432, version.encode(), project.encode())
    if segments == 1:
        image[288 : 288 + len(body)] = body
    at = 24
    for left in range(segments - 1, -1, -1):
        part = size if left else total - size * (segments - 1)
        struct.pack_into("<II", image, at, 0x3F400020, part)
        at += 8 + part
    view = memoryview(image)
    image[checked - 1] = _checksum(view)
    if digest:
        image[checked:] = hashlib.sha256(view[:checked]).digest()
    return image


def _checksum(view):
    checksum = 0xEF
    at = 24
    for _ in range(view[1]):
        size = struct.unpack("<I", view[at + 4 : at + 8])[0]
        for byte in view[at + 8 : at + 8 + size]:
            checksum ^= byte
        at += 8 + size
    return checksum


def boots(image):
    """Whether the boot loader takes what stands in `image` (a slot's bytes)."""
    view = memoryview(image)
    if view[0] != 0xE9 or not 1 <= view[1] <= 16:
        return False
    at = 24
    for _ in range(view[1]):
        at += 8 + struct.unpack("<I", view[at + 4 : at + 8])[0]
        if at + 8 > len(view):
            return False
    at = (at + 16) & ~15
    if view[at - 1] != _checksum(view):
        return False
    return view[23] != 1 or hashlib.sha256(view[:at]).digest() == bytes(view[at : at + 32])


class Board:
    """Two slots ota_0 and ota_1, otadata, NVS. `cut(k, phase)` cuts power at operation k from now.

    phase 0: before it, 1: in the middle, 2: after it. `lazy`: NVS keeps nothing before commit.
    """

    def __init__(self, slot_size=0x2000, lazy=False):
        self.flash = {"otadata": _blank("otadata", 2 * SECTOR)}
        self.flash["ota_0"] = _blank("ota_0", slot_size)
        self.flash["ota_1"] = _blank("ota_1", slot_size)
        self.erases = {name: [0] * (len(data) // SECTOR) for name, data in self.flash.items()}
        self.nvs = {}
        self.lazy = lazy
        self.running = "ota_0"
        self.ops = 0
        self.cut_at = None
        self.phase = 0
        self.powered = True
        self.Partition = partition_class(self)

    def cut(self, at, phase):
        self.ops = 0
        self.cut_at = at
        self.phase = phase

    def op(self, half, whole):
        """Do one operation, or part of it."""
        if not self.powered:
            raise PowerCut()
        now = self.ops == self.cut_at
        self.ops += 1
        if now and self.phase == 0:
            self.powered = False
            raise PowerCut()
        if now and self.phase == 1:
            half()
        else:
            whole()
        if now:
            self.powered = False
            raise PowerCut()

    def erase(self, name, sector):
        data = self.flash[name]
        at = sector * SECTOR
        if at + SECTOR > len(data):
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")

        def half():  # some bits are up, some are not yet
            _wipe(data, at, at + SECTOR // 2)

        def whole():
            _wipe(data, at, at + SECTOR)

        self.erases[name][sector] += 1
        self.op(half, whole)

    def program(self, name, at, buf):
        data = self.flash[name]
        if at + len(buf) > len(data):
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
        for start in range(0, len(buf), 256):
            part = bytes(buf[start : start + 256])

            def half(at=at + start, part=part):
                for i in range(len(part) // 2):
                    data[at + i] &= part[i]

            def whole(at=at + start, part=part):
                for i in range(len(part)):
                    data[at + i] &= part[i]

            self.op(half, whole)

    # otadata

    def entries(self):
        """[(sequence, state)] of both sectors, None where the CRC is wrong."""
        found = []
        for sector in (0, 1):
            raw = bytes(self.flash["otadata"][sector * SECTOR : sector * SECTOR + 32])
            sequence, state, crc = struct.unpack("<I20xII", raw)
            sound = sequence != 0xFFFFFFFF and crc == binascii.crc32(raw[:4], 0xFFFFFFFF)
            found.append((sequence, state) if sound else None)
        return found

    def put_entry(self, sector, sequence, state):
        raw = struct.pack("<I", sequence)
        raw += b"\xff" * 20 + struct.pack("<II", state, binascii.crc32(raw, 0xFFFFFFFF))
        self.erase("otadata", sector)
        self.program("otadata", sector * SECTOR, raw)

    def active(self):
        """The sector whose entry boots, None when there is none."""
        best = None
        entries = self.entries()
        for sector in (0, 1):
            entry = entries[sector]
            if entry and entry[1] not in (INVALID, ABORTED) and (best is None or entry[0] > entries[best][0]):
                best = sector
        return best

    def choose(self, name):
        """esp_ota_set_boot_partition."""
        if not boots(self.flash[name]):
            raise OSError(-0x1503, "ESP_ERR_OTA_VALIDATE_FAILED")
        want = 1 + int(name[-1])
        sector = self.active()
        if sector is None:
            self.put_entry(0, want, NEW)
            return
        sequence = want
        while sequence < self.entries()[sector][0]:
            sequence += 2
        self.put_entry(1 - sector, sequence, NEW)

    def mark_valid(self):
        sector = self.active()
        if sector is not None and self.entries()[sector][1] != VALID:
            self.put_entry(sector, self.entries()[sector][0], VALID)

    def boot(self):
        """The boot loader with rollback; returns the label that runs, None when nothing boots."""
        for sector in (0, 1):
            entry = self.entries()[sector]
            if entry and entry[1] == PENDING:
                self.put_entry(sector, entry[0], ABORTED)
        sector = self.active()
        order = ["ota_0", "ota_1"]
        if sector is not None:
            sequence, state = self.entries()[sector]
            if state == NEW:
                self.put_entry(sector, sequence, PENDING)
            if sequence % 2 == 0:
                order = ["ota_1", "ota_0"]
        self.running = None
        for name in order:
            if boots(self.flash[name]):
                self.running = name
                break
        return self.running

    def power_on(self):
        self.powered = True
        self.cut_at = None

    def burn(self, name, image):
        """Write an image as a flashing tool does; counts as no operation."""
        self.flash[name][: len(image)] = image


def partition_class(board):
    """The board's `esp32.Partition`."""

    class Partition:
        owner = None
        BOOT, RUNNING, TYPE_APP, TYPE_DATA = 0, 1, 0, 1

        def __init__(self, label):
            self.name = board.running if label == self.RUNNING else label

        @classmethod
        def find(cls, type=0, subtype=255, label=None, block_size=4096):
            found = []
            for name in sorted(board.flash):
                kind = cls(name).info()
                if kind[0] == type and subtype in (255, kind[1]):
                    found.append(cls(name))
            return found

        def info(self):
            size = len(board.flash[self.name])
            if self.name == "otadata":
                return (1, 0, 0xD000, size, self.name, False)
            index = int(self.name[-1])
            return (0, 0x10 + index, 0x10000 + index * size, size, self.name, False)

        def get_next_update(self):
            if "ota_1" not in board.flash:
                raise OSError(2)
            return Partition("ota_1" if self.name == "ota_0" else "ota_0")

        def readblocks(self, block, buf, offset=0):
            data = board.flash[self.name]
            at = block * SECTOR + offset
            if at + len(buf) > len(data):
                raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
            memoryview(buf)[:] = memoryview(data)[at : at + len(buf)]

        def writeblocks(self, block, buf, offset=None):
            if offset is None:
                if len(buf) % SECTOR:
                    raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
                for i in range(len(buf) // SECTOR):
                    board.erase(self.name, block + i)
            board.program(self.name, block * SECTOR + (offset or 0), buf)

        def ioctl(self, command, argument):
            if command == 4:
                return len(board.flash[self.name]) // SECTOR
            if command == 5:
                return SECTOR
            if command == 6:
                board.erase(self.name, argument)
            return 0

        def set_boot(self):
            board.choose(self.name)

        @classmethod
        def mark_app_valid_cancel_rollback(cls):
            board.mark_valid()

    Partition.owner = board
    return Partition


class NVS:
    """The board's `esp32.NVS` of one namespace."""

    def __init__(self, board, room=4000):
        self.board = board
        self.room = room  # bytes of blobs, all together
        self.waiting = {}

    def _do(self, key, value):
        def whole():
            if value is None:
                self.board.nvs.pop(key, None)
            else:
                self.board.nvs[key] = value

        self.board.op(lambda: None, whole)

    def get_blob(self, key, buf):
        value = self.waiting.get(key, self.board.nvs.get(key))
        if value is None:
            raise OSError(NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        if len(value) > len(buf):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        if sum(len(other) for name, other in self.board.nvs.items() if name != key) + len(value) > self.room:
            raise OSError(-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
        if self.board.lazy:
            self.waiting[key] = bytes(value)
        else:
            self._do(key, bytes(value))

    def erase_key(self, key):
        if key not in self.board.nvs:
            raise OSError(NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        if self.board.lazy:
            self.waiting[key] = None
        else:
            self._do(key, None)

    def commit(self):
        for key in list(self.waiting):
            self._do(key, self.waiting.pop(key))


class Files:
    """A file store in RAM whose writes are operations of the board: each is done or not done."""

    def __init__(self, board, kept):
        self.board = board
        self.kept = kept

    def read(self, name, limit=8192):
        return self.kept.get(name)

    def write(self, name, data):
        self.board.op(lambda: None, lambda: self.kept.__setitem__(name, data))

    def rename(self, name, new):
        if name in self.kept:
            self.board.op(lambda: None, lambda: self.kept.__setitem__(new, self.kept.pop(name)))

    def remove(self, name):
        if name in self.kept:
            self.board.op(lambda: None, lambda: self.kept.pop(name))
