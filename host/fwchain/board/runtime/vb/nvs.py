"""The values in an NVS partition: namespaces, 32-bit integers and blobs, as nvs_flash gives and
takes them.

A new value is written before the old one is erased; an equal one is not written again. The pages
below are `nvspages`. Facts: ESP-IDF nvs_storage.cpp.
"""

import struct

from .nvspages import (
    BLOB_DATA,
    BLOB_INDEX,
    ENTRIES,
    ENTRY,
    ERASED,
    FULL,
    I32,
    INVALID_LENGTH,
    KEY_TOO_LONG,
    NOT_ENOUGH_SPACE,
    NOT_FOUND,
    TYPE_MISMATCH,
    U8,
    VALUE_TOO_LONG,
    WRITTEN,
    NvsError,
    Pages,
    entry_crc,
)

try:
    from .fast import same
except ImportError:
    from .plain import same


def _key(name):
    data = name.encode()
    if len(data) > 15:
        raise NvsError(KEY_TOO_LONG)
    return data + bytes(16 - len(data))


class Nvs(Pages):
    """The NVS partition at `offset` of flash `nor`."""

    def _erase_others(self, ns, key, keep, chunks=()):
        """Erase all of a key but the entry `keep` and the chunks numbered in `chunks`."""
        mem = self.nor.mem
        for data in (False, True):  # index first: without it the chunks mean nothing
            for page in self.used:
                i = 0
                while i < ENTRIES:
                    at = page + 64 + ENTRY * i
                    span = 1
                    if mem[page + 32 + i // 4] >> (i % 4 * 2) & 3 == WRITTEN:
                        span = max(1, mem[at + 2])
                        if mem[at] == ns and (mem[at + 1] == BLOB_DATA) == data and same(mem, at + 8, key, 16):
                            if data:
                                wanted = mem[at + 3] not in chunks
                            else:
                                wanted = keep is None or i != keep[1] or page != keep[0]
                            if wanted:
                                self._set_state(page, i, i + span, ERASED)
                    i += span

    # what the API offers

    def namespaces(self):
        """Name → number of the namespaces that exist."""
        found = {}
        for page, i, ns, kind, _span, _chunk, key in self.items():
            if ns == 0 and kind == U8:
                found[str(key[: key.find(b"\x00")], "utf-8")] = self._data((page, i))[0]
        return found

    def open(self, name):
        """The namespace's number; made when it does not exist."""
        key = _key(name)
        found = self._find(0, key, U8)
        if found:
            return self._data(found)[0]
        existing = self.namespaces()
        number = 1
        while number in existing.values():
            number += 1
        if number > 254:
            raise NvsError(NOT_ENOUGH_SPACE)
        self._append(0, U8, key, bytes((number,)) + b"\xff" * 7)
        return number

    def set_i32(self, ns, name, value):
        """Store a 32-bit integer."""
        key = _key(name)
        data8 = struct.pack("<i", value) + b"\xff" * 4
        old = self._find(ns, key)
        if old and old[2] == I32 and self._data(old) == data8:
            return
        self._erase_others(ns, key, self._append(ns, I32, key, data8))

    def get_i32(self, ns, name):
        """Read a 32-bit integer; raises NvsError (not found, other type)."""
        found = self._find(ns, _key(name))
        if not found:
            raise NvsError(NOT_FOUND)
        if found[2] != I32:
            raise NvsError(TYPE_MISMATCH)
        return struct.unpack("<i", bytes(self._data(found)[:4]))[0]

    def set_blob(self, ns, name, value):
        """Store bytes; an equal value is not written again."""
        key = _key(name)
        old = self._find(ns, key)
        start = 0
        if old and old[2] == BLOB_INDEX:
            same = bytearray(self.blob_size(ns, name))
            if len(same) == len(value) and self.get_blob(ns, name, same) >= 0 and same == value:
                return
            start = 0x80 if self._chunks(old).start == 0 else 0
        if len(value) > (len(self.pages) - 1) * (ENTRIES - 1) * ENTRY:
            raise NvsError(VALUE_TOO_LONG)
        count = 0
        try:
            count = self._write_chunks(ns, key, memoryview(value), start)
            index = struct.pack("<IBBH", len(value), count, start, 0xFFFF)
            keep = self._append(ns, BLOB_INDEX, key, index)
        except NvsError:
            for page, i, ns_, kind, span, chunk, key_ in self.items():
                if ns_ == ns and key_ == key and kind == BLOB_DATA and chunk & 0x80 == start:
                    self._set_state(page, i, i + span, ERASED)
            raise
        self._erase_others(ns, key, keep, range(start, start + count))

    def _write_chunks(self, ns, key, value, start):
        done = 0
        count = 0
        turned = 0
        while done < len(value) or count == 0:
            page = self.used[-1]
            room = max(0, ENTRIES - 1 - self._next_free(page)) * ENTRY
            left = len(value) - done
            full = self._word(page) == FULL or self._next_free(page) == ENTRIES
            if full or (room < left and room < 400):
                turned += 1
                if turned > len(self.pages):
                    raise NvsError(NOT_ENOUGH_SPACE)
                self._turn_page()
                continue
            body = value[done : done + min(room, left)]
            data8 = struct.pack("<HHI", len(body), 0xFFFF, entry_crc(body))
            self._write(ns, BLOB_DATA, key, data8, body, start + count)
            count += 1
            done += len(body)
        return count

    def blob_size(self, ns, name):
        """Length of a blob in bytes; raises NvsError."""
        found = self._find(ns, _key(name))
        if not found:
            raise NvsError(NOT_FOUND)
        if found[2] != BLOB_INDEX:
            raise NvsError(TYPE_MISMATCH)
        return struct.unpack("<I", bytes(self._data(found)[:4]))[0]

    def get_blob(self, ns, name, buf):
        """Read a blob into `buf`, which may be longer; returns its length."""
        key = _key(name)
        size = self.blob_size(ns, name)
        if size > len(buf):
            raise NvsError(INVALID_LENGTH)
        at = 0
        for number in self._chunks(self._find(ns, key, BLOB_INDEX)):
            found = self._find(ns, key, BLOB_DATA, number)
            if not found:
                raise NvsError(NOT_FOUND)
            length, _, crc = struct.unpack("<HHI", bytes(self._data(found)))
            body = found[0] + 64 + ENTRY * (found[1] + 1)
            body = self.nor.mem[body : body + length]
            if entry_crc(body) != crc or at + length > size:
                raise NvsError(NOT_FOUND)
            buf[at : at + length] = body
            at += length
        return at

    def erase_key(self, ns, name):
        """Remove a key; raises NvsError when there is none."""
        key = _key(name)
        if not self._find(ns, key):
            raise NvsError(NOT_FOUND)
        self._erase_others(ns, key, None)

    def stats(self):
        """(entries written, entries in all pages)."""
        used = 0
        for page in self.used:
            used += sum(self._state(page, i) == WRITTEN for i in range(ENTRIES))
        return used, ENTRIES * len(self.pages)
