"""For a repair: the pieces that are still right where the firmware runs are copied, and need no network.

A damaged slot may not boot again, so the time until the other slot is whole should be short: of one flipped byte,
one piece is left to fetch.
"""

import hashlib

from fwnode.update.slots import SECTOR


def salvage(stream, release, storage):  # type: ignore[no-untyped-def]
    """Steps: copy into `storage` each piece of `release` that `stream` (what runs) holds; returns how many.

    What `storage` holds already is left alone. One buffer of a sector.
    """
    buf = memoryview(bytearray(SECTOR))
    count = 0
    for index in range(release.piece_count):
        start = index * release.piece_length
        size = release.piece_size(index)
        wanted = release.piece_hash(index)
        if start + size <= stream.size and _digest(storage, start, size, buf) != wanted:
            yield
            if _digest(stream, start, size, buf) == wanted:
                yield
                for at in range(start, start + size, SECTOR):
                    part = buf[: min(SECTOR, start + size - at)]
                    stream.readinto(at, part)
                    storage.write(at, part)
                    yield
                count += 1
        yield
    return count


def _digest(source, start: int, size: int, buf) -> bytes:  # type: ignore[no-untyped-def]
    sha = hashlib.sha1()
    for at in range(start, start + size, len(buf)):
        part = buf[: min(len(buf), start + size - at)]
        source.readinto(at, part)
        sha.update(part)
    return sha.digest()
