"""The eight steps of `make demo`. Each does something and then waits for what must follow from it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from fwchain.demo import firmware
from fwchain.demo.processes import fwchain
from fwchain.demo.stage import HEAP, MODEL, START_S, Stage
from fwchain.demo.watch import Event, Expected, NotSeen
from fwchain.vendor import signing

BOARDS = ["board-1", "board-2", "board-3"]
STEPS = 8
CHECK_S = 2
SEED_UPLOAD = 400_000  # bytes a second: slow enough that the boards find each other the better source
UPDATE_S = 150
CHAIN_S = 60
FLIPPED_AT = 0x100000  # in the slot: inside the filler, so that the code goes on running

first = "1.0.0"
good = "1.1.0"
broken = "1.2.0"
fixed = "1.2.1"


class Story(Stage):
    """The main job: C1, the swarm, rollback and the chain."""

    def run(self) -> None:
        """All steps; raises HostError at the first that is not observed."""
        for step in (
            self.make_network,
            self.serve,
            self.first_boards,
            self.publish_good,
            self.update,
            self.tamper,
            self.roll_back,
            self.audit,
        ):
            step()

    def hints(self) -> list[tuple[str, str]]:
        """What there is to see in the network that goes on."""
        return [
            (f"tail -f {self.place}/events.jsonl", "what the verification node does"),
            (f"tail -f {self.folder}/trace.txt", "each message with its fields"),
            (f"tail -f {self.folder}/board-2/console.log", "what a board prints"),
            (f"fwchain board flip {self.folder}/board-2 --slot running", "damage its firmware, and watch it"),
            (f"fwchain board status {self.folder}/board-2", "its slots"),
            (f"fwchain board reset {self.folder}/board-3", "its reset button"),
            (f"fwchain chain show {self.place}", "what the chain tells of it"),
        ]

    # helpers

    def expect(self, *wanted: Expected, timeout_s: float) -> dict[str, list[Event]]:
        """Wait until every board has said all of `wanted`, in this order."""
        return self.watch.expect(dict.fromkeys(BOARDS, wanted), timeout_s, self.screen.event)

    def ticks(self, text: str = "yes") -> dict[str, str]:
        """The same word for every board."""
        return dict.fromkeys(BOARDS, text)

    # the steps

    def make_network(self) -> None:
        """1. `fwchain init` makes a network."""
        self.screen.step("a network: keys, trust root, genesis, configuration")
        self.init(CHECK_S, node__seed_upload=SEED_UPLOAD)
        self.screen.seen("network made", f"genesis {self.network.genesis.hash.hex()[:16]}")

    def serve(self) -> None:
        """2. `fwchain serve` runs the verification node."""
        self.screen.step("a verification node: exchange, tracker, seed, chain, on SQLite")
        self.serve_node()
        self.screen.seen("verification node serves", self.network.config.url)

    def first_boards(self) -> None:
        """3. Three boards run 1.0.0, and each does C1-1."""
        self.screen.step(f"three virtual boards with firmware {first}: is it current and untampered?")
        self.watch.mark()
        image = self.release(first, size=0).read_bytes()
        release = signing.read(self.folder / "releases" / f"{MODEL}-{first}.torrent")
        self.watch.mark()
        for name in BOARDS:
            self.add_board(name, image, release)
        said = self.expect(Expected("started", app=first), Expected("current", version=first), timeout_s=START_S)
        apps = {name: f"app {events[0]['app']}" for name, events in said.items()}
        self.screen.seen(f"{first} runs, heap {HEAP >> 10} KB", "", apps)
        self.screen.seen("C1-1: current and untampered", "", self.ticks())

    def publish_good(self) -> None:
        """4. The vendor builds, signs and publishes 1.1.0 over mutual TLS."""
        self.screen.step(f"the vendor builds, signs and publishes {good} over mutual TLS")
        self.watch.mark()
        size = self.release(good).stat().st_size
        if size < firmware.AT_LEAST:
            raise NotSeen(f"the image of {good} has {size} bytes, fewer than {firmware.AT_LEAST}")
        self.screen.seen(f"{good} published over mutual TLS", f"{size:,} bytes")

    def update(self) -> None:
        """5. The boards learn of it, download it from the seed and from each other, and run it."""
        self.screen.step(f"C1-2: the boards fetch {good} from the seed and from each other, and run it")
        with self.screen:
            said = self.expect(
                Expected("offered", version=good, repair=False),
                Expected("downloaded", version=good),
                Expected("installed", version=good),
                Expected("boot", version=good),
                Expected("started", app=good),
                Expected("self-test", version=good, passed=True),
                Expected("confirmed", version=good),
                Expected("updated", version=good),
                Expected("current", version=good),
                timeout_s=UPDATE_S,
            )
        from_seed, from_boards = {}, {}
        shared = 0
        for name, events in said.items():
            seed, fellows = self.sources(events[1])
            shared += fellows
            from_seed[name], from_boards[name] = f"{seed:,}", f"{fellows:,}"
        if not shared:
            raise NotSeen("no board fetched anything from a fellow board")
        self.screen.seen(f"{good}: bytes from the seed", "", from_seed)
        self.screen.seen(f"{good}: bytes from other boards", "", from_boards)
        self.screen.seen(f"{good} runs and is confirmed", "", {n: f"app {e[4]['app']}" for n, e in said.items()})

    def sources(self, downloaded: Event) -> tuple[int, int]:
        """Bytes that came (from the verification node's seed and web seed, from other boards)."""
        fellows = {board.ip for board in self.boards.values()}
        total = {True: 0, False: 0}
        for address, count in downloaded["down"].items():
            total[address.rsplit(":", 1)[0] in fellows] += count
        return total[False], total[True]

    def tamper(self) -> None:
        """6. One byte of a running slot is flipped; the board finds it and repairs itself."""
        name = BOARDS[0]
        self.screen.step(f"one byte of {name}'s running slot is flipped")
        self.watch.mark()
        self.command("board", "flip", self.boards[name].folder, hex(FLIPPED_AT), "--slot", "running")
        with self.screen:
            said = self.watch.expect(
                {
                    name: [
                        Expected("tampered", version=good),
                        Expected("offered", version=good, repair=True),
                        Expected("installed", version=good),
                        Expected("started", app=good),
                        Expected("confirmed", version=good),
                        Expected("repaired", version=good),
                        Expected("current", version=good),
                    ]
                },
                UPDATE_S,
                self.screen.event,
            )
        took = said[name][-1]["ts"] - said[name][0]["ts"]
        self.screen.seen("C1-1: found tampered, repaired itself", "", {name: f"yes, {took:.1f} s"})

    def roll_back(self) -> None:
        """7. 1.2.0 fails its self-test; every board comes back, and does not try it again. 1.2.1 is good."""
        self.screen.step(f"{broken} is broken: every board must come back; then {fixed}")
        self.watch.mark()
        self.release(broken, is_broken=True)
        with self.screen:
            self.expect(
                Expected("installed", version=broken),
                Expected("boot", version=broken),
                Expected("self-test", version=broken, passed=False),
                Expected("started", app=good),
                Expected("rolled-back", version=broken),
                Expected("refused", version=broken),
                timeout_s=UPDATE_S,
            )
        self.screen.seen(f"{broken} failed its self-test, rolled back", "", self.ticks(f"app {good}"))
        self.screen.seen(f"{broken} not tried again", "", self.ticks())
        self.watch.mark()
        self.release(fixed)
        with self.screen:
            said = self.expect(
                Expected("installed", version=fixed),
                Expected("started", app=fixed),
                Expected("confirmed", version=fixed),
                Expected("updated", version=fixed),
                Expected("current", version=fixed),
                timeout_s=UPDATE_S,
            )
        for name, events in self.watch.history.items():
            tries = sum(e["event"] == "installed" and e["version"] == broken for e in events if name in BOARDS)
            if tries > 1:
                raise NotSeen(f"{name} installed {broken} {tries} times")
        self.screen.seen(f"{fixed} runs and is confirmed", "", {n: f"app {e[1]['app']}" for n, e in said.items()})

    def audit(self) -> None:
        """8. The chain tells all of this, and every block of it is good."""
        self.screen.step("the chain tells all of this")
        least = {"current": 6, "updated": 6, "tampered": 1, "repaired": 1, "rolled-back": 3}
        self._until(lambda row: all(row["outcomes"].get(kind, 0) >= count for kind, count in least.items()))
        self.command("chain", "show", self.place)
        self.command("chain", "verify", self.place)
        found = self._until(lambda row: True)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found["outcomes"].items()))
        self.screen.seen("chain verified from genesis", f"{found['height']} blocks, {found['releases']} releases")
        self.screen.seen("verification logs", kinds)

    def _until(self, judge: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Verify the chain at each new block, until `judge` accepts what `fwchain chain verify` says."""
        end = time.monotonic() + CHAIN_S
        while True:
            row: dict[str, Any] = json.loads(fwchain("chain", "verify", self.place, "--json"))
            if judge(row):
                return row
            left = end - time.monotonic()
            if left <= 0:
                raise NotSeen(f"the chain does not tell all that happened within {CHAIN_S} s: it has {row['outcomes']}")
            self.watch.mark()
            self.watch.expect({"node": [Expected("block")]}, left)
