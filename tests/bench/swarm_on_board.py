"""The board's half of the swarm bench: main.py of a virtual board. Reads /rom/wish.json, prints JSON lines.

By turns: what its flash, SHA-1 and SHA-256 alone take for the release's size, and a download with its verifier.
"""

import asyncio
import binascii
import gc
import hashlib
import json
import time

from fwnode.swarm import Buffers, new_peer_id
from fwnode.swarm.download import Download
from fwnode.update.slots import Slots
from swarm_parts import FakeRelease

with open("/rom/wish.json") as file:
    WISH = json.load(file)
BUFFERS = Buffers()
SECTOR = BUFFERS.sectors[0]
COUNTS = [0, 0]  # sectors erased, bytes programmed


class Target:
    """The slot as a storage that counts."""

    def __init__(self, slot):
        self.slot = slot
        self.readinto = slot.readinto

    def write(self, offset, data):
        COUNTS[0] += (len(data) + 4095) // 4096
        COUNTS[1] += len(data)
        self.slot.write(offset, data)


def verifier(target, size):
    whole = hashlib.sha256()
    for at in range(0, size, 4096):
        part = SECTOR if size - at >= 4096 else SECTOR[: size - at]
        target.readinto(at, part)
        whole.update(part)
    return whole.digest()


def floor(target, release):
    """Milliseconds for writing, SHA-1 by pieces and SHA-256 of as many bytes, and nothing else."""
    start = time.ticks_us()
    for at in range(0, release.size, 4096):
        if at % release.piece_length == 0:
            piece = hashlib.sha1()
        part = SECTOR if release.size - at >= 4096 else SECTOR[: release.size - at]
        piece.update(part)
        target.write(at, part)
    verifier(target, release.size)
    return time.ticks_diff(time.ticks_us(), start) / 1000


async def download(target, release, peers):
    """(milliseconds for the download, the same with the verifier, the verifier)."""
    gc.collect()
    fetch = Download(release, target, peers, new_peer_id(), trackers=[], web_seeds=[], buffers=BUFFERS)
    start = time.ticks_us()
    await fetch.run()
    middle = time.ticks_us()
    digest = verifier(target, release.size)
    end = time.ticks_us()
    await fetch.close()
    return time.ticks_diff(middle, start) / 1000, time.ticks_diff(end, start) / 1000, digest


def main():
    row = WISH["release"]
    release = FakeRelease(
        row["size"], row["piece_length"], binascii.unhexlify(row["pieces"]), binascii.unhexlify(row["info_hash"])
    )
    target = Target(Slots().target)
    blank = memoryview(bytearray(4096))
    for _ in range(WISH["rounds"]):
        alone = floor(target, release)
        for at in range(0, release.size, 32768):
            target.slot.write(at, blank)  # nothing to resume from
        COUNTS[0] = COUNTS[1] = 0
        fetched, whole, digest = asyncio.run(download(target, release, [tuple(peer) for peer in WISH["peers"]]))
        gc.collect()
        print(
            json.dumps(
                {
                    "event": "round",
                    "floor": alone,
                    "download": fetched,
                    "whole": whole,
                    "verifier": binascii.hexlify(digest).decode(),
                    "sectors": COUNTS[0],
                    "bytes": COUNTS[1],
                    "heap": gc.mem_alloc(),
                }
            )
        )
    print(json.dumps({"event": "over"}))


main()
