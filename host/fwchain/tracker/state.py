"""The tracker's memory across a restart: one file, replaced whole, that only its owner can read.

Layout, big-endian: `fwtrack1`, the 32-byte secret of connection IDs, then for each info-hash its 20 bytes, completions
u32, and for IPv4 and IPv6 each: count u32, the peers, one age in seconds u32 and one complete byte a peer.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

from fwchain import files
from fwchain.tracker.core import Core, TrackerError
from fwchain.tracker.peers import PeerSet, Swarm

MAGIC = b"fwtrack1"


def dump(core: Core) -> bytes:
    """The state as bytes."""
    out = [MAGIC, core.secret]
    for info_hash, swarm in core.swarms.items():
        out.append(info_hash + struct.pack(">I", swarm.downloaded))
        for own in (swarm.v4, swarm.v6):
            out.append(struct.pack(">I", len(own)))
            out.append(bytes(own.table))
            ages = array("I", (max(0, core.now - seen) for seen in own.seen))
            out.append(struct.pack(f">{len(ages)}I", *ages))
            out.append(bytes(own.done))
    return b"".join(out)


def load(core: Core, data: bytes, known_only: bool = True) -> None:
    """Take the state over into `core`, for the info-hashes it allows (all of them if not `known_only`).

    Raises ValueError and changes nothing when the bytes are no state.
    """
    if data[:8] != MAGIC or len(data) < 40:
        raise ValueError("not a tracker state of this version")
    try:
        swarms = _swarms(core, data)
    except struct.error as error:
        raise ValueError("ends early") from error
    core.secret = data[8:40]
    for info_hash, swarm in swarms.items():
        if info_hash in core.swarms or not known_only:
            core.swarms[info_hash] = swarm
    core.recount()


def _swarms(core: Core, data: bytes) -> dict[bytes, Swarm]:
    at = 40
    swarms = {}
    while at < len(data):
        info_hash = data[at : at + 20]
        swarm = Swarm()
        (swarm.downloaded,) = struct.unpack_from(">I", data, at + 20)
        at += 24
        for own in (swarm.v4, swarm.v6):
            at = _load(own, data, at, core)
        swarms[info_hash] = swarm
    return swarms


def _load(own: PeerSet, data: bytes, at: int, core: Core) -> int:
    count = int.from_bytes(data[at : at + 4], "big")
    at += 4
    ages_at = at + count * own.width
    done_at = ages_at + 4 * count
    if done_at + count > len(data):
        raise ValueError("ends early")
    ages = struct.unpack_from(f">{count}I", data, ages_at)
    for row in range(count):
        key = data[at + row * own.width : at + (row + 1) * own.width]
        own.put(key, max(0, core.now - ages[row]), bool(data[done_at + row]), core.max_peers, 65536)
    return done_at + count


def save(path: Path, data: bytes) -> None:
    """Replace the file; raises OSError."""
    files.replace(path, data, 0o600)


def read(path: Path) -> bytes | None:
    """The file's bytes, or None when there is none; raises TrackerError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrackerError(f"tracker state {path}: {error.strerror}") from error
