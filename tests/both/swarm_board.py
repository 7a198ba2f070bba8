"""One board's swarm as a process, on either interpreter: `swarm_board.py FOLDER_OF_DEVICE FILE_OF_JSON`.

It fetches a release into a file and seeds it, or seeds what the file holds, and prints its events as JSON lines. The
JSON may have: release {size, piece_length, pieces, info_hash, name}, file, fresh, ip, port, peers, trackers, web_seeds,
up_rate, group [address, port] for local discovery, private, limits {attribute: value}, stay (seconds after the end),
seed (true: the file is complete), fragment, verifier (true: SHA-256 of the file at the end), exit_after (sectors: the
process ends there, as by a power cut), refuse, events (false: none but the last).
"""

import asyncio
import binascii
import gc
import hashlib
import json
import sys

sys.path[:] = [sys.argv[1], __file__.rsplit("/", 1)[0]] + sys.path

import swarm_parts  # noqa: E402
from fwnode.compat import ticks_diff, ticks_ms  # noqa: E402
from fwnode.errors import FwError  # noqa: E402
from fwnode.swarm import new_peer_id  # noqa: E402
from fwnode.swarm.download import Download  # noqa: E402
from fwnode.swarm.seed import Seeder  # noqa: E402


def say(kind, fields):
    fields = dict(fields)
    fields["event"] = kind
    if kind in ("progress", "complete", "peer-left") and hasattr(gc, "mem_alloc"):
        gc.collect()
        fields["heap"] = gc.mem_alloc()
    print(json.dumps(fields))
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


class CutStorage(swarm_parts.FileStorage):
    """The process ends after so many sectors."""

    left = -1

    def write(self, offset, data):
        super().write(offset, data)
        self.left -= 1
        if self.left == 0:
            import uctypes

            uctypes.bytearray_at(0, 4)[0] = 1  # the process ends at once, no `finally` runs


def fragmented():
    """Leave the heap without a free block of 16 KiB, and hold what does it."""
    held = []
    try:
        while True:
            held.append(bytearray(9000))
    except MemoryError:
        pass
    for at in range(0, len(held), 2):
        held[at] = None
    gc.collect()
    return held


async def main(wish):
    row = wish["release"]
    release = swarm_parts.FakeRelease(
        row["size"],
        row["piece_length"],
        binascii.unhexlify(row["pieces"]),
        binascii.unhexlify(row["info_hash"]),
        row.get("name", "image.bin"),
    )
    storage = CutStorage(wish["file"], release.size, wish.get("fresh", True))
    storage.left = wish.get("exit_after", -1)
    buffer = memoryview(bytearray(4096))
    port = swarm_parts.Port()
    ip = wish.get("ip", "127.0.0.1")
    common = {
        "local_ip": ip,
        "port": wish.get("port", 0),
        "trackers": wish.get("trackers", []),
        "up_rate": wish.get("up_rate", 0),
        "on_event": say if wish.get("events", True) else None,
    }
    if wish.get("seed"):
        hub = Seeder(release, storage, new_peer_id(), **common)
    else:

        def refuse(sector):
            raise FwError("refused by its first sector")

        hub = Download(
            release,
            storage,
            [tuple(peer) for peer in wish.get("peers", [])],
            new_peer_id(),
            web_seeds=wish.get("web_seeds", []),
            check_first=refuse if wish.get("refuse") else None,
            **common,
        )
    for name, value in wish.get("limits", {}).items():
        for part in (hub, getattr(hub, "dialler", None), hub.announcer):
            if hasattr(part, name):
                setattr(part, name, value)
    port.router.add(hub)
    server = None
    if wish.get("port"):
        server = await asyncio.start_server(port.accept, ip, wish["port"])
    if wish.get("group"):
        from fwnode.swarm.localdisc import LocalDiscovery

        release.private = wish.get("private", False)
        try:
            local = LocalDiscovery(hub, *wish["group"])
            local.start()
        except FwError as error:
            say("no-local-discovery", {"why": str(error)})
    say("listening", {"port": wish.get("port", 0)})
    held = fragmented() if wish.get("fragment") else None
    began = ticks_ms()
    try:
        if wish.get("seed"):
            hub.start()
        else:
            await hub.run()
        took = ticks_diff(ticks_ms(), began)
        done = {"ms": took, "writes": max(storage.writes), "stats": hub.stats}
        if not wish.get("seed"):
            done["wasted"] = hub.wasted
            done["fetched"] = hub.fetched
        gc.collect()
        if hasattr(gc, "mem_alloc"):
            done["heap"] = gc.mem_alloc()
        if wish.get("verifier"):
            whole = hashlib.sha256()
            for at in range(0, release.size, 4096):
                part = buffer[: min(4096, release.size - at)]
                storage.readinto(at, part)
                whole.update(part)
            done["verifier"] = binascii.hexlify(whole.digest()).decode()
            done["ms_all"] = ticks_diff(ticks_ms(), began)
        say("done", done)
        await asyncio.sleep(wish.get("stay", 0))
        say("stats", {"stats": hub.stats})
    except FwError as error:
        say("failed", {"why": str(error), "writes": max(storage.writes), "stats": hub.stats})
    finally:
        await hub.close()
        if server:
            server.close()
    return held


with open(sys.argv[2]) as wish:
    asyncio.run(main(json.load(wish)))
