"""A board's header chain: up to 128 headers above a base, in one flash file that survives a power
cut at any byte.

The file: two base records, written in turn (the one with the higher sequence number and a good
check counts), then a ring of slots, the header of height h in slot h mod 128, each with the
branch's verification counter and a check of four bytes. What is read back is the longest run of
good slots that link to the base: after a cut in the middle of a write that is the old chain, or the
new one as far as it was written. Only the base and the tip are held in RAM.

The base is genesis at first, or a checkpoint that the trust root's verification nodes signed; it
moves up by itself as the ring fills. No reorganisation goes below it. Since every block has
genesis's difficulty, most work is most height.
"""

import struct

from fwnode.chain import ChainError
from fwnode.chain import header as headers
from fwnode.chain.head import Head, Link
from fwnode.compat import const
from fwnode.crypto import sha256

_KEEP = const(128)  # headers above the base
_STEP = const(16)  # how far the base moves when the ring is full
UNKNOWN = 0xFFFFFFFF  # the counter of a header that came without its signed head
_BASE_FORM = "<II8s32sII11Q"  # sequence, height, net, hash, counter, root, times
_BASE_SIZE = const(148)
_BASE_ROOM = const(192)
_SLOT_SIZE = const(96)
_SLOTS_AT = const(384)
FILE_SIZE = const(12672)  # _SLOTS_AT + _KEEP * _SLOT_SIZE


class Orphan(ChainError):
    """Headers whose parent is not known here: ask the sender for earlier ones, from `base` on."""


def _check(data) -> bytes:  # type: ignore[no-untyped-def]
    return sha256(data)[:4]


class HeaderChain:
    """The best branch that this board knows. `flash` has readinto(offset, buffer), write(offset,
    data) in order, and sync().
    """

    def __init__(self, flash, genesis, keep: int = _KEEP) -> None:  # type: ignore[no-untyped-def]
        """Read what is in flash; start at genesis when there is nothing of this network."""
        self._flash = flash
        self._keep = keep
        self._slot = bytearray(_SLOT_SIZE)
        self.net = genesis.net
        self.difficulty = genesis.difficulty
        self._sequence = 0
        self.base = genesis.link()
        self._load_base()
        self.height = self.base.height
        self.hash = self.base.hash
        self.counter = self.base.counter
        self._load_slots()

    def _load_base(self) -> None:
        record = bytearray(_BASE_SIZE)
        for at in (0, _BASE_ROOM):
            self._flash.readinto(at, record)
            if _check(record[:-4]) != bytes(record[-4:]):
                continue
            row = struct.unpack(_BASE_FORM, record[:-4])
            if row[2] == self.net and row[0] > self._sequence:
                self._sequence = row[0]
                times = list(row[6:])
                self.base = Link(row[1], row[3], row[4], row[5], times[-min(row[1] + 1, headers.MEDIAN_OF) :])

    def _load_slots(self) -> None:
        while self.height - self.base.height < self._keep:
            data = self._read(self.height + 1)
            if data is None or bytes(data[8:40]) != self.hash:
                break
            self.hash = headers.hash_of(data)
            self.height += 1
            self.counter = self._slot_counter()

    def _read(self, height: int):  # type: ignore[no-untyped-def]
        """The slot's header as a view that the next read overwrites, or None when the slot is not
        good.
        """
        slot = memoryview(self._slot)
        self._flash.readinto(_SLOTS_AT + height % self._keep * _SLOT_SIZE, slot)
        if _check(slot[:92]) != bytes(slot[92:]):
            return None
        return slot[:88]

    def _slot_counter(self) -> int:
        return struct.unpack_from("<I", self._slot, 88)[0]

    def header(self, height: int) -> bytes:
        """The 88 bytes of the header at `height`, above the base and not above the tip; raises
        ChainError.
        """
        if not self.base.height < height <= self.height:
            raise ChainError("height", "{} is outside {} to {}".format(height, self.base.height + 1, self.height))
        data = self._read(height)
        if data is None:
            raise ChainError("header", "the slot of height {} is damaged".format(height))
        return bytes(data)

    def hash_at(self, height: int) -> bytes:
        """The hash of the block at `height`, from the base to the tip; raises ChainError."""
        if height == self.height:
            return self.hash
        if height == self.base.height:
            return self.base.hash
        return self.header(height + 1)[8:40]

    def find(self, digest: bytes):  # type: ignore[no-untyped-def]
        """The height of the block with this hash on the branch, or None."""
        height = self.height
        while height >= self.base.height:
            if self.hash_at(height) == digest:
                return height
            height -= 1
        return None

    def times(self, height: int) -> list:
        """The times of up to 11 headers, the last one at `height`."""
        first = max(height - headers.MEDIAN_OF + 1, self.base.height + 1)
        times = [struct.unpack_from("<Q", self.header(at), 72)[0] for at in range(first, height + 1)]
        return (self.base.times + times)[-headers.MEDIAN_OF :]

    def counter_at(self, height: int):  # type: ignore[no-untyped-def]
        """The branch's verification counter at `height`; None when it is not known."""
        if height == self.base.height:
            counter = self.base.counter
        else:
            self.header(height)
            counter = self._slot_counter()
        return None if counter == UNKNOWN else counter

    def tip(self) -> Link:
        """What a block on the tip needs to know; raises ChainError when the tip's counter is not
        known.
        """
        counter = self.counter_at(self.height)
        if counter is None:
            raise ChainError("counter", "the tip came without its signed head")
        return Link(self.height, self.hash, counter, self.base.root, self.times(self.height))

    def _plan(self, heads: list, now):  # type: ignore[no-untyped-def]
        """(parent height, index of the first new header), or None when the branch does not win;
        raises ChainError.
        """
        if not heads:
            return None
        parent = self.find(bytes(heads[0][8:40]))
        if parent is None:
            raise Orphan("previous", "the parent is not known")
        first = 0
        hashes = [headers.check_work(data, self.difficulty) for data in heads]
        while first < len(heads) and parent < self.height and self.hash_at(parent + 1) == hashes[first]:
            parent += 1
            first += 1
        if first == len(heads):
            return None
        times = self.times(parent)
        previous = self.hash_at(parent)
        for index in range(first, len(heads)):
            header = headers.decode(heads[index])
            if header.previous != previous:
                raise ChainError("previous", "header {} does not name the one before".format(index))
            headers.check_time(header.time, times, now)
            times = times[-10:] + [header.time]
            previous = hashes[index]
        if not headers.better(parent + len(heads) - first, previous, self.height, self.hash):
            return None
        return parent, first

    def extend(self, heads: list, counters, now) -> bool:  # type: ignore[no-untyped-def]
        """Take headers of 88 bytes, each on the one before, the first on a known one; whether the
        tip moved.

        `counters` are the branch's after each, or None. Nothing is written unless the whole branch
        is right and wins. Raises Orphan or ChainError. Signatures are the caller's business (see
        `take`).
        """
        plan = self._plan(heads, now)
        if plan is None:
            return False
        height, first = plan
        for index in range(first, len(heads)):
            height += 1
            self._append(height, heads[index], UNKNOWN if counters is None else counters[index])
        self._flash.sync()
        return True

    def take(self, blobs: list, authority, now):  # type: ignore[no-untyped-def]
        """Steps: take signed heads (or whole blocks), and headers of 88 bytes, each on the one before;
        whether the tip moved. The cheap checks come first, then one signature.

        The last one must be signed, and its signature alone is checked: its hash commits to every
        header below it, so whoever signs it answers for them. Raises Orphan, ChainError, Untrusted.
        """
        if not blobs or len(blobs[-1]) == headers.SIZE:
            raise ChainError("head", "the last one must be signed")
        last = Head(blobs[-1], self.net)
        heads = [blob if len(blob) == headers.SIZE else Head(blob, self.net).head for blob in blobs[:-1]]
        heads.append(last.head)
        if self._plan(heads, now) is None:
            return False
        yield from last.check_head(authority)
        return self.extend(heads, [UNKNOWN] * (len(heads) - 1) + [last.counter], now)

    def _append(self, height: int, data: bytes, counter: int) -> None:
        if height - self.base.height > self._keep:
            self._move_base(height - self._keep - 1 + min(_STEP, self._keep // 2))
        slot = bytes(data) + struct.pack("<I", counter)
        self._flash.write(_SLOTS_AT + height % self._keep * _SLOT_SIZE, slot + _check(slot))
        self.height = height
        self.hash = headers.hash_of(data)
        self.counter = counter

    def _move_base(self, height: int) -> None:
        counter = self.counter_at(height)
        self._set_base(
            Link(
                height,
                self.hash_at(height),
                UNKNOWN if counter is None else counter,
                self.base.root,
                self.times(height),
            )
        )

    def _set_base(self, base: Link) -> None:
        times = [0] * (headers.MEDIAN_OF - len(base.times)) + base.times
        record = struct.pack(
            _BASE_FORM,
            self._sequence + 1,
            base.height,
            self.net,
            base.hash,
            base.counter,
            base.root,
            *times,
        )
        self._flash.write(_BASE_ROOM * ((self._sequence + 1) & 1), record + _check(record))
        self._sequence += 1
        self.base = base

    def take_checkpoint(self, data: bytes, root):  # type: ignore[no-untyped-def]
        """Steps: take an encoded checkpoint; whether it was news. The cheap checks come first: one at
        or below the base costs no signature. Raises ChainError or WireError.
        """
        from fwnode.chain.checkpoint import Checkpoint  # rare: let go after use

        checkpoint = Checkpoint(data, self.net)
        if checkpoint.height <= self.base.height:
            return False
        yield from checkpoint.check(root)
        return self.set_checkpoint(checkpoint)

    def set_checkpoint(self, checkpoint) -> bool:  # type: ignore[no-untyped-def]
        """Make a checkpoint (whose signatures are checked) the base, and keep what stands on it;
        whether it was news.

        A branch that does not hold the checkpoint is given up: the chain then starts anew at the
        checkpoint.
        """
        if checkpoint.height <= self.base.height:
            return False
        held = checkpoint.height <= self.height and self.hash_at(checkpoint.height) == checkpoint.hash
        self._set_base(checkpoint.link())
        self._flash.sync()
        if not held:
            self.height = checkpoint.height
            self.hash = checkpoint.hash
            self.counter = checkpoint.counter
        return True
