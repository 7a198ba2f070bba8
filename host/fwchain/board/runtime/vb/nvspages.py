"""NVS as ESP-IDF keeps it in flash (format version 2), for host and board.

The partition is pages of one sector: a header (state u32, sequence u32, version u8 = FE, 19 bytes
FF, CRC-32 of bytes 4 to 27), a bitmap of 2 bits for each of 126 entries (11 empty, 10 written, 00
erased) and the entries of 32 bytes: namespace u8, type u8, span u8, chunk u8, CRC-32 u32 (of the
rest), key 16, data 8. A blob is one index entry (size u32, chunk count u8, first chunk u8) and
chunks, each an entry (size u16, FFFF, CRC-32 of the data) with its data behind. A new value is
written before the old one is erased. One page is always free, to move a page's items into. Facts:
ESP-IDF nvs_page.cpp, nvs_pagemanager.cpp, nvs_storage.cpp and "NVS internals" of its
documentation.
"""

import struct

from .otadata import crc32

try:
    from .fast import is_blank, same
except ImportError:
    from .plain import is_blank, same

PAGE = 4096
ENTRIES = 126
ENTRY = 32
VERSION = 0xFE

ACTIVE = 0xFFFFFFFE
FULL = 0xFFFFFFFC
FREEING = 0xFFFFFFF8

EMPTY = 3
WRITTEN = 2
ERASED = 0

U8 = 0x01
I32 = 0x14
BLOB_DATA = 0x42
BLOB_INDEX = 0x48
ANY_CHUNK = 0xFF
_VARIABLE = (0x21, 0x41, BLOB_DATA)

NOT_FOUND = 0x1102
TYPE_MISMATCH = 0x1103
NOT_ENOUGH_SPACE = 0x1105
KEY_TOO_LONG = 0x1109
INVALID_LENGTH = 0x110C
NO_FREE_PAGES = 0x110D
VALUE_TOO_LONG = 0x110E
ERROR_NAMES = {
    NOT_FOUND: "ESP_ERR_NVS_NOT_FOUND",
    TYPE_MISMATCH: "ESP_ERR_NVS_TYPE_MISMATCH",
    NOT_ENOUGH_SPACE: "ESP_ERR_NVS_NOT_ENOUGH_SPACE",
    KEY_TOO_LONG: "ESP_ERR_NVS_KEY_TOO_LONG",
    INVALID_LENGTH: "ESP_ERR_NVS_INVALID_LENGTH",
    NO_FREE_PAGES: "ESP_ERR_NVS_NO_FREE_PAGES",
    VALUE_TOO_LONG: "ESP_ERR_NVS_VALUE_TOO_LONG",
}


class NvsError(Exception):
    """What nvs_flash answers: args[0] is ESP-IDF's code, args[1] its name."""

    def __init__(self, code):
        super().__init__(code, ERROR_NAMES[code])


class PageFull(Exception):
    pass


def entry_crc(data, start=0xFFFFFFFF):
    return crc32(data, start) & 0xFFFFFFFF


class Pages:
    """Pages and entries of the NVS partition at `offset` of flash `nor`.

    Loading repairs what a power cut left.
    """

    def __init__(self, nor, offset, size):
        self.nor = nor
        self.pages = [offset + at for at in range(0, size, PAGE)]
        self.used = []
        self.free = []
        self._load()

    # pages

    def _word(self, at):
        return struct.unpack_from("<I", self.nor.mem, at)[0]

    def _load(self):
        found = []
        mem = self.nor.mem
        for page in self.pages:
            state = self._word(page)
            ok = state in (ACTIVE, FULL, FREEING)
            if ok and self._word(page + 28) == entry_crc(mem[page + 4 : page + 28]):
                found.append((self._word(page + 4), page))
            else:
                self.free.append(page)
        found.sort()
        self.used = [page for _, page in found]
        self.next_seq = found[-1][0] + 1 if found else 0
        if not found:
            self._activate()
            return
        for page in self.used:
            self._repair(page)
        self._finish_move()
        if not self.free:
            raise NvsError(NO_FREE_PAGES)
        self._repair_items()

    def _activate(self):
        """Take a free page, erased, as the newest; its header is written with its first entry."""
        if not self.free:
            raise NvsError(NOT_ENOUGH_SPACE)
        page = self.free.pop(0)
        if not is_blank(self.nor.mem, page, PAGE):
            self.nor.erase(page, PAGE)
        self.used.append(page)

    def _start(self, page):
        header = struct.pack("<IB", self.next_seq, VERSION) + b"\xff" * 19
        self.next_seq += 1
        self.nor.program(page, struct.pack("<I", ACTIVE) + header + struct.pack("<I", entry_crc(header)))

    def _set_page(self, page, state):
        self.nor.program(page, struct.pack("<I", state))

    def _new_page(self):
        """A page with room: a free one while two are free, else the one with most to reclaim."""
        if len(self.free) >= 2:
            self._activate()
            return
        best = None
        most = 0
        for page in self.used:
            unused = ENTRIES - sum(self._state(page, i) == WRITTEN for i in range(ENTRIES))
            if unused > most:
                best = page
                most = unused
        if best is None:
            raise NvsError(NOT_ENOUGH_SPACE)
        self._set_page(best, FREEING)
        self._move(best)

    def _move(self, old):
        self._activate()
        new = self.used[-1]
        at = 0
        for i in range(ENTRIES):
            if self._state(old, i) == WRITTEN:
                if at == 0:
                    self._start(new)
                entry = old + 64 + ENTRY * i
                self._write_entries(new, at, self.nor.mem[entry : entry + ENTRY])
                at += 1
        self.nor.erase(old, PAGE)
        self.used.remove(old)
        self.free.append(old)

    def _finish_move(self):
        """Power went while a page was moved: do it again from the start."""
        for page in self.used:
            if self._word(page) == FREEING:
                newest = self.used[-1]
                if newest != page and self._word(newest) == ACTIVE:
                    self.nor.erase(newest, PAGE)
                    self.used.remove(newest)
                    self.free.append(newest)
                self._move(page)
                return

    # entries

    def _state(self, page, i):
        return self.nor.mem[page + 32 + i // 4] >> (i % 4 * 2) & 3

    def _set_state(self, page, first, end, state):
        """Set entries [first, end), the last word of the bitmap first."""
        mem = self.nor.mem
        for index in range((end - 1) // 16, first // 16 - 1, -1):
            at = page + 32 + index * 4
            word = self._word(at)
            for i in range(max(first, index * 16), min(end, index * 16 + 16)):
                word &= ~((state ^ 3) << (i % 16 * 2))
            if mem[at : at + 4] != struct.pack("<I", word):
                self.nor.program(at, struct.pack("<I", word))

    def _write_entries(self, page, at, data):
        self.nor.program(page + 64 + ENTRY * at, data)
        self._set_state(page, at, at + len(data) // ENTRY, WRITTEN)

    def _next_free(self, page):
        for i in range(ENTRIES):
            if self._state(page, i) == EMPTY:
                return i
        return ENTRIES

    def _good(self, page, i):
        """Whether the entry's CRC is right and its span fits the page."""
        at = page + 64 + ENTRY * i
        mem = self.nor.mem
        span = mem[at + 2]
        return 0 < span <= ENTRIES - i and self._word(at + 4) == entry_crc(
            mem[at + 8 : at + 32], entry_crc(mem[at : at + 4])
        )

    def _item(self, page, i):
        """(namespace, type, span, chunk) of the entry, or None when its CRC is wrong."""
        at = page + 64 + ENTRY * i
        mem = self.nor.mem
        return (mem[at], mem[at + 1], mem[at + 2], mem[at + 3]) if self._good(page, i) else None

    def _repair(self, page):
        """Erase entries that a power cut left half-written."""
        active = self._word(page) == ACTIVE
        i = 0
        while i < ENTRIES:
            state = self._state(page, i)
            at = page + 64 + ENTRY * i
            if state == EMPTY:
                if active and not is_blank(self.nor.mem, at, ENTRY):
                    self._set_state(page, i, i + 1, ERASED)
                i += 1
                continue
            if state != WRITTEN:
                i += 1
                continue
            whole = self._good(page, i)
            span = self.nor.mem[at + 2] if whole else 1
            for j in range(i + 1, i + span):
                whole = whole and self._state(page, j) == WRITTEN
            if not whole:
                self._set_state(page, i, i + span, ERASED)
            i += span

    def items(self):
        """(page, entry, namespace, type, span, chunk, key) of all items, oldest first."""
        for page in self.used:
            i = 0
            while i < ENTRIES:
                span = 1
                if self._state(page, i) == WRITTEN:
                    item = self._item(page, i)
                    if item:
                        span = item[2]
                        at = page + 72 + ENTRY * i
                        yield (
                            page,
                            i,
                            item[0],
                            item[1],
                            span,
                            item[3],
                            bytes(self.nor.mem[at : at + 16]),
                        )
                i += span

    def _repair_items(self):
        """Of two values of one key keep the newer; erase chunks without index and the reverse."""
        mem = self.nor.mem
        for page in self.used:
            i = 0
            while i < ENTRIES:
                at = page + 64 + ENTRY * i
                span = 1
                if self._state(page, i) == WRITTEN:
                    span = max(1, mem[at + 2])
                    if not self._needed(page, i, mem[at : at + 24]):
                        self._set_state(page, i, i + span, ERASED)
                i += span

    def _needed(self, page, i, head):
        """Whether the entry, whose first 24 bytes are `head`, is the newest of its key, and has its other parts."""
        ns = head[0]
        kind = head[1]
        key = head[8:24]
        if kind == BLOB_DATA:
            index = self._find(ns, key, BLOB_INDEX)
            return index is not None and head[3] in self._chunks(index)
        newest = self._find(ns, key, None, head[3])
        if newest is None or newest[0] != page or newest[1] != i:
            return False
        if kind == BLOB_INDEX:
            for number in self._chunks(newest):
                if not self._find(ns, key, BLOB_DATA, number):
                    return False
        return True

    def _find(self, ns, key, kind=None, chunk=ANY_CHUNK):
        """(page, entry, type, span) of the newest such item; of any type when `kind` is None.

        Written without a generator or slices: on a board this must leave no garbage.
        """
        mem = self.nor.mem
        found_page = found = -1
        for page in self.used:
            i = 0
            at = page + 64
            while i < ENTRIES:
                span = 1
                if mem[page + 32 + i // 4] >> (i % 4 * 2) & 3 == WRITTEN:
                    span = max(1, mem[at + 2])
                    if mem[at] == ns and mem[at + 3] == chunk and (kind is None or mem[at + 1] == kind):
                        if same(mem, at + 8, key, 16):
                            found_page = page
                            found = i
                i += span
                at += ENTRY * span
        item = self._item(found_page, found) if found >= 0 else None
        return (found_page, found, item[1], item[2]) if item else None

    def _data(self, found):
        at = found[0] + 88 + ENTRY * found[1]
        return self.nor.mem[at : at + 8]

    def _chunks(self, index):
        _size, count, start = struct.unpack("<IBB", bytes(self._data(index)[:6]))
        return range(start, start + count)

    def _write(self, ns, kind, key, data8, body=b"", chunk=ANY_CHUNK):
        """Append one item to the newest page; returns its (page, entry). Raises PageFull."""
        page = self.used[-1]
        span = 1 + (len(body) + ENTRY - 1) // ENTRY
        if self._word(page) == 0xFFFFFFFF:
            self._start(page)
        at = self._next_free(page)
        if self._word(page) != ACTIVE or at + span > ENTRIES:
            raise PageFull
        head = bytes((ns, kind, span, chunk))
        entry = head + struct.pack("<I", entry_crc(key + data8, entry_crc(head))) + key + data8
        self._write_entries(page, at, entry)
        whole = len(body) // ENTRY * ENTRY
        if whole:
            self._write_entries(page, at + 1, memoryview(body)[:whole])
        if whole < len(body):
            tail = bytes(body[whole:]) + b"\xff" * (ENTRY - len(body) + whole)
            self._write_entries(page, at + 1 + whole // ENTRY, tail)
        return page, at

    def _turn_page(self):
        page = self.used[-1]
        if self._word(page) == ACTIVE:
            self._set_page(page, FULL)
        self._new_page()

    def _append(self, ns, kind, key, data8):
        try:
            return self._write(ns, kind, key, data8)
        except PageFull:
            self._turn_page()
        try:
            return self._write(ns, kind, key, data8)
        except PageFull:
            raise NvsError(NOT_ENOUGH_SPACE) from None
