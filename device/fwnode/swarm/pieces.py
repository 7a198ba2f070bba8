"""The pieces of a release on their way into storage: chosen, streamed by sectors, hashed as they come, judged.

No piece and no block is held in RAM. A sector is written once, whichever peer brings it first, so the last pieces may
be asked of several peers at once.
"""

import hashlib

from fwnode.compat import randbelow
from fwnode.swarm import BLOCK, SECTOR, bitfield

MIXED = ""  # a piece with bytes from more than one source


class Active:
    """A piece on its way: which sectors are written, and the running hash over those in order."""

    def __init__(self, index: int, base: int, size: int, owner) -> None:  # type: ignore[no-untyped-def]
        self.index = index
        self.base = base
        self.size = size
        self.left = size
        self.owner = owner
        self.source = None
        self.done = bytearray((size + BLOCK - 1) // BLOCK)  # sectors written, by block
        self.hash = hashlib.sha1()
        self.hashed = 0
        self.refusal = None
        self.dead = False

    def block_done(self, begin: int) -> bool:
        """Whether the whole block at `begin` is written."""
        return self.done[begin // BLOCK] * SECTOR >= min(BLOCK, self.size - begin)


class Pieces:
    """Which pieces are held, on their way, and missing; writes to `storage`.

    `check_first(sector)` is asked about the stream's first 4 KiB before anything is written; what it raises is the
    download's end, once the piece that says so has proved genuine. `buffer` (a sector) is used between two waits only.
    """

    def __init__(self, release, storage, have: bytearray, check_first, buffer) -> None:  # type: ignore[no-untyped-def]
        self.release = release
        self.storage = storage
        self.have = have
        self.check_first = check_first
        self.active = {}  # type: dict
        self.alone = set()  # type: set
        self.avail = bytearray(release.piece_count)
        self.todo = []  # type: list
        self.buffer = buffer

    def resume(self):  # type: ignore[no-untyped-def]
        """Steps: hash what the storage holds, and keep what is right; one piece a step."""
        release = self.release
        for index in range(release.piece_count):
            if not bitfield.has(self.have, index):
                if self.digest(hashlib.sha1(), index, 0) == release.piece_hash(index):
                    bitfield.put(self.have, index)
                else:
                    self.todo.append(index)
            yield
        if self.check_first and bitfield.has(self.have, 0):
            part = self.buffer[: min(SECTOR, release.size)]
            self.storage.readinto(0, part)
            self.check_first(part)
            self.check_first = None
        plan = getattr(self.storage, "plan", None)
        if plan:
            plan(self.holds)

    def holds(self, first: int, end: int) -> bool:
        """Whether any of these bytes of the stream belong to a piece that is held."""
        release = self.release
        last = min(release.piece_count, (end + release.piece_length - 1) // release.piece_length)
        return any(bitfield.has(self.have, index) for index in range(first // release.piece_length, last))

    def digest(self, running, index: int, start: int) -> bytes:  # type: ignore[no-untyped-def]
        """The piece's SHA-1, `running` having taken its first `start` bytes, the rest read back from storage."""
        at = index * self.release.piece_length + start
        left = self.release.piece_size(index) - start
        part = self.buffer
        while left > 0:
            if left < SECTOR:
                part = part[:left]
            self.storage.readinto(at, part)
            running.update(part)
            at += SECTOR
            left -= SECTOR
        return running.digest()

    def count(self, bits, change: int) -> None:  # type: ignore[no-untyped-def]
        """A peer with `bits` came (+1) or went (-1)."""
        avail = self.avail
        for index in range(len(avail)):
            if bits[index >> 3] & (128 >> (index & 7)):
                avail[index] += change

    def pick(self, peer):  # type: ignore[no-untyped-def]
        """A piece for `peer` to own, or None: one that its owner left, else the rarest missing, from a random start."""
        bits = peer.bits
        for active in self.active.values():
            if active.owner is None and bitfield.has(bits, active.index):
                active.owner = peer
                return active
        todo = self.todo
        if self.check_first:
            todo = (0,) if 0 in todo else ()
        size = len(todo)
        if not size:
            return None
        best = -1
        rarest = 256
        avail = self.avail
        at = randbelow(size)
        for _ in range(size):
            index = todo[at]
            if avail[index] < rarest and bits[index >> 3] & (128 >> (index & 7)):
                best = index
                rarest = avail[index]
                if rarest <= 1:
                    break
            at += 1
            if at == size:
                at = 0
        return self.begin(best, peer) if best >= 0 else None

    def begin(self, index: int, owner):  # type: ignore[no-untyped-def]
        """The missing piece `index`, on its way from `owner` now."""
        self.todo.remove(index)
        active = Active(index, index * self.release.piece_length, self.release.piece_size(index), owner)
        self.active[index] = active
        return active

    def careful(self, index: int) -> bool:
        """Whether the piece must come from one source alone, its blocks in order: a refusal or a liar hangs on it."""
        return index in self.alone or (index == 0 and self.check_first is not None)

    def leave(self, owner) -> None:  # type: ignore[no-untyped-def]
        """`owner` goes: what it has begun is left to others, or begun anew where one source alone must bring it."""
        for active in list(self.active.values()):
            if active.owner is owner:
                active.owner = None
                if active.left == active.size or self.careful(active.index):
                    active.dead = True
                    del self.active[active.index]
                    self.todo.append(active.index)

    def sector(self, peer_ip: str, active, at: int, view) -> bool:  # type: ignore[no-untyped-def]
        """Take a sector at byte `at` of the piece; returns whether it was new. May raise the storage's error."""
        block = at // BLOCK
        if active.dead or active.done[block] != (at % BLOCK) // SECTOR:
            return False
        if at == 0 and active.index == 0 and self.check_first:
            try:
                self.check_first(view)
            except Exception as error:  # noqa: BLE001 - judged when the piece has proved genuine
                active.refusal = error
        if not active.refusal:
            self.storage.write(active.base + at, view)
        size = len(view)
        active.done[block] += 1
        active.left -= size
        if active.hashed == at:
            active.hash.update(view)
            active.hashed = at + size
        if active.source != peer_ip:
            active.source = peer_ip if active.source is None else MIXED
        return True

    def finish(self, active) -> bool:  # type: ignore[no-untyped-def]
        """Whether the piece, whole now, is genuine; a bad one is missing again. Raises a genuine refusal."""
        index = active.index
        del self.active[index]
        if self.digest(active.hash, index, active.hashed) == self.release.piece_hash(index):
            if active.refusal:
                raise active.refusal
            if index == 0:
                self.check_first = None
            bitfield.put(self.have, index)
            self.alone.discard(index)
            return True
        if active.source == MIXED:
            self.alone.add(index)
        self.todo.append(index)
        return False
