"""The steps of `make demo-c2`: a fleet that verifies and updates itself while no verification node answers."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from fwchain.demo import chains
from fwchain.demo.ear import Ear
from fwchain.demo.fleet import Fleet
from fwchain.demo.processes import SybilProcess
from fwchain.demo.stage import HEAP, MODEL, START_S
from fwchain.demo.sybils import ADDRESS, CERTIFIED, UNCERTIFIED
from fwchain.demo.watch import Event, Expected, NotSeen
from fwchain.events import POLL_S
from fwchain.vendor import signing

BOARDS = [f"board-{number}" for number in range(1, 11)]
HOSTS = ["host-1", "host-2"]
STEPS = 6
NEEDED = 7  # "more than six"
CHECK_S = 100_000  # a board checks when it is switched on or reset, and by itself no more while the demo lasts
SOON_S = 12
RETRY_S = 10
QUIET_S = 1.2
CONFIRM_S = 12  # the curves are slower on a real board
ATTACKED_S = 30  # that Sybils get: strangers' signatures are looked at one by one
POOL_S = 6  # a host node leaves logs to the node that answers for so long
SYNC_S = 5
C2_S = 120
UPDATE_S = 120
SPREAD_S = 300
ATTACK_S = 90
CHAIN_S = 120
BEHIND_S = 30
ASK_AGAIN_S = 4
STALL_S = 12

first = "1.0.0"
good = "1.1.0"


class C2Story(Fleet):
    """Issue by issue what no verification node is needed for."""

    def run(self) -> None:
        """All steps; raises HostError at the first that is not observed."""
        for step in (
            self.make_network,
            self.verify_by_fellows,
            self.repair_by_fellows,
            self.spread,
            self.withstand,
            self.audit,
        ):
            step()

    def hints(self) -> list[tuple[str, str]]:
        """What there is to see in the network that goes on."""
        return [
            (f"tail -f {self.place}/events.jsonl", "what the verification node does"),
            (f"tail -f {self.folder}/host-1/events.jsonl", "what a host node does"),
            (f"tail -f {self.folder}/board-2/console.log", "what a board prints"),
            (f"fwchain board reset {self.folder}/board-3", "its reset button"),
            (f"fwchain chain show {self.folder}/host-1", "the chain as a host node has it"),
        ]

    @property
    def names(self) -> list[str]:
        """Boards and host nodes."""
        return BOARDS + HOSTS

    def make_network(self) -> None:
        """A verification node, ten boards, two host nodes, all of them on 1.0.0."""
        self.screen.step("a verification node, ten boards and two host nodes, all with firmware 1.0.0")
        addresses = [f"127.55.0.{number}" for number in (1, 2)]
        peers = ",".join(f"http://{address}:{self.port + 5}" for address in addresses)
        options = ("--confirmations", NEEDED)
        self.init(
            CHECK_S, *options, board__port=self.port + 4, node__peers=peers, node__sync_s=SYNC_S, node__pool_s=POOL_S
        )
        lan = self.network.config["lan"]
        self.ear = Ear(lan["group"], lan["port"], "127.0.0.1", self.network.genesis.net)
        self.serve_node()
        image = self.release(first, size=0).read_bytes()
        metadata = self.folder / "releases" / f"{MODEL}-{first}.torrent"
        for name, address in zip(HOSTS, addresses, strict=True):
            settings = (
                f"node.pool_s={POOL_S}",
                f"node.sync_s={SYNC_S}",
                f"normal.retry_s={RETRY_S}",
                f"normal.confirm_s={CONFIRM_S}",
            )
            self.add_host(name, address, metadata, *settings)
        release = signing.read(metadata)
        current = (Expected("current", version=first, case="C1-1"),)
        for name in BOARDS:
            self.keys.add(self.add_board(name, image, release, retry_s=RETRY_S, quiet_s=QUIET_S, confirm_s=CONFIRM_S))
        self.watch.expect(dict.fromkeys(self.names, current), START_S)
        self.screen.seen(f"ten boards, heap {HEAP >> 10} KB, and two host nodes run {first}", "C1-1: each untampered")

    def verify_by_fellows(self) -> None:
        """1. C2-2 of an untampered board."""
        self.screen.step("C2-2: no verification node; a board asks its fellows: is mine current and untampered?")
        self.stop_node()
        self.watch.mark()
        name = BOARDS[0]
        self.boards[name].reset()
        said = self.watch.expect({name: [Expected("started"), self.confirmed()]}, C2_S, self.screen.event)
        count = said[name][1]["confirmations"]
        answerer, _ = self.watch.expect_any(self.names, Expected("answered-fellow", outcome="answered"), C2_S)
        confirmed = Expected("confirmed-fellow")
        others = sum(any(map(confirmed, self.watch.since_mark(one))) for one in self.names)
        self.screen.say(f"{answerer} answered {name}; {others} others did the proof of work and confirmed")
        _, block = self.watch.expect_any([answerer], Expected("block"), C2_S)
        self.screen.seen("C2-2: untampered", f"{name}: {count} confirmations counted, {answerer} answered")
        self.screen.seen("C2-2: its block", f"{answerer}, {block['hash'][:16]}")

    def confirmed(self) -> Expected:
        """C2-2's good end."""
        return Expected("current", case="C2-2", confirmations=lambda count: (count or 0) >= NEEDED)

    def repair_by_fellows(self) -> None:
        """2. C2-2 of a tampered board, repaired from its fellows."""
        name = BOARDS[1]
        self.screen.step(f"C2-2: one bit of {name}'s running slot is flipped")
        self.switch_off([name])
        self.configure([name], check_s=SOON_S)
        self.watch.mark()
        self.switch_on([name])
        self.watch.expect({name: [self.confirmed()]}, C2_S, self.screen.event)
        self.watch.mark()
        self.command("board", "flip", self.boards[name].folder, "--slot", "running")
        said = self.watch.expect(
            {
                name: [
                    Expected("tampered", version=first),
                    Expected("offered", version=first, repair=True, case="C2-2"),
                    Expected("downloaded", version=first),
                    Expected("installed", version=first),
                    Expected("started", app=first),
                    Expected("confirmed", version=first),
                    Expected("repaired", version=first),
                ]
            },
            UPDATE_S,
            self.screen.event,
        )
        took = said[name][-1]["ts"] - said[name][0]["ts"]
        self.screen.seen("C2-2: tampered, repaired", f"{name}: {self.sources(said[name][2])}, {took:.0f} s")

    def sources(self, downloaded: Event) -> str:
        """How much came from whom, all of them fellows; raises NotSeen otherwise."""
        fellows = {board.ip: name for name, board in self.boards.items()}
        fellows |= {address: name for name, address in self.addresses.items()}
        counts: dict[str, int] = {}
        for address, count in downloaded["down"].items():
            ip = address.rsplit(":", 1)[0]
            if ip not in fellows:
                raise NotSeen(f"{count} bytes came from {address}, which is no fellow")
            counts[fellows[ip]] = counts.get(fellows[ip], 0) + count
        return ", ".join(f"{count:,} bytes from {name}" for name, count in sorted(counts.items()))

    def spread(self) -> None:
        """3. 1.1.0 reaches one board by C1-2, and all others from it by C2-3 and C2-1."""
        source, asker = BOARDS[0], BOARDS[1]
        self.screen.step(f"the verification node returns with {good}; {source} updates by C1-2; it goes away again")
        self.switch_off([asker])
        self.configure([asker], check_s=CHECK_S)
        self.serve_node()
        size = self.release(good).stat().st_size
        self.watch.mark()
        self.boards[source].reset()
        wanted = [
            Expected("offered", version=good, case="C1-2"),
            Expected("started", app=good),
            Expected("updated", version=good),
            Expected("current", version=good, case="C1-1"),
        ]
        with self.screen:
            self.watch.expect({source: wanted}, UPDATE_S, self.screen.event)
        self.screen.seen(f"C1-2: {good}, {size:,} bytes", source)
        self.stop_node()
        self.watch.mark()
        self.screen.say(f"{asker}, on {first}, is switched on")
        began = time.monotonic()
        self.switch_on([asker])
        with self.screen:
            self.ask_until_offered(asker)
            cases = self.spread_on(BOARDS[1:] + HOSTS)
        took = time.monotonic() - began
        for case, what in (("C2-3", "the asker is older"), ("C2-1", "the answerer is older")):
            names = [name for name, one in cases.items() if one == case]
            if not names:
                raise NotSeen(f"nobody updated by {case}")
            self.screen.seen(f"{case}: {what}", ", ".join(names))
        self.screen.seen(f"all run {good}, no verification node", f"after {took:.0f} s")

    def ask_until_offered(self, name: str) -> None:
        """Wait until this node's own question has brought it the news (C2-3): fellows without it may be quicker, or
        the one that has it may be answering another; then its reset button stands for its next question.
        """
        asked, over = Expected("offered", version=good, case="C2-3"), ("current", "unanswered", "failed")
        end = time.monotonic() + C2_S
        while not any(map(asked, self.watch.since_mark(name))):
            for who, event in self.watch.poll():
                self.screen.event(who, event)
                if who == name and event["event"] in over:
                    self.screen.say(f"{name} is reset")
                    self.boards[name].reset()
            self.check()
            if time.monotonic() > end:
                raise NotSeen(f"{name} was not offered {good} by C2-3 within {C2_S} s")
            time.sleep(POLL_S)

    def spread_on(self, names: list[str]) -> dict[str, str]:
        """Wait until each of `names` has updated; by which case it did. A board's reset button stands for the end of
        its time between two checks, when nothing has happened for a while.
        """
        cases: dict[str, str] = {}
        turns = itertools.cycle(BOARDS)
        end = time.monotonic() + SPREAD_S
        quiet = time.monotonic() + STALL_S
        while len(cases) < len(names):
            for name, event in self.watch.poll():
                self.screen.event(name, event)
                if event["event"] in ("offered", "installed", "updated", "answering"):
                    quiet = time.monotonic() + STALL_S
            for name in names:
                case = self.updated(name)
                if case and name not in cases:
                    cases[name] = case
            self.check()
            if time.monotonic() > end:
                raise NotSeen(f"not updated within {SPREAD_S} s: {sorted(set(names) - set(cases))}")
            if time.monotonic() > quiet:
                name = next(turns)
                self.screen.say(f"{name} is reset")
                self.boards[name].reset()
                quiet = time.monotonic() + STALL_S
            time.sleep(POLL_S)
        return cases

    def updated(self, name: str) -> str:
        """By which case of C2 this node has come to 1.1.0 since the step began; "" when it has not."""
        offered = ""
        for event in self.watch.since_mark(name):
            if event["event"] == "offered" and event["version"] == good:
                offered = event["case"]
            elif event["event"] == "updated" and event["version"] == good:
                return offered
        return ""

    def withstand(self) -> None:
        """4. Sybils count for nothing."""
        name = BOARDS[0]
        self.screen.step(f"Sybils: {UNCERTIFIED} IDs, and boards that may not, confirm a false verifier to {name}")
        self.switch_off(BOARDS)
        self.configure([name], confirm_s=ATTACKED_S)
        for host in HOSTS:
            self.stop_host(host)
        events = self.folder / "sybils.jsonl"
        self.watch.add("sybils", events)
        sybils = SybilProcess(self.folder / "sybils.log", self.place, self.port + 4, events)
        try:
            self.watch.expect({"sybils": [Expected("ready")]}, START_S)
            self.watch.mark()
            self.switch_on([name])
            said = self.watch.expect(
                {
                    name: [Expected("started"), Expected("unanswered", why=f"no {NEEDED} confirmations in time")],
                    "sybils": [Expected("attacked")],
                },
                ATTACK_S,
                self.screen.event,
            )
        finally:
            sybils.stop()
        self.judge(name, said[name][1]["dropped"], said["sybils"][0])

    def judge(self, name: str, dropped: dict[str, int], attacked: Event) -> None:
        """Raise NotSeen unless the board dropped every confirmation, each for its reason, and told nothing."""
        self.screen.say(f"{name} at {ADDRESS}'s word: dropped {dropped}")
        if attacked["believed"]:
            raise NotSeen(f"{name} told a false answerer its verifier")
        for reason, count, what in (
            ("malformed", UNCERTIFIED, "without certificate"),
            ("certificate", CERTIFIED, "certified for another model"),
            ("verifier", CERTIFIED, "certified, of another verifier"),
        ):
            if dropped.get(reason, 0) < count:
                raise NotSeen(f"{name} dropped {dropped.get(reason, 0)} of {count} confirmations {what}")
            self.screen.seen(f"Sybils {what}: not counted", f"{dropped[reason]} dropped")

    def audit(self) -> None:
        """5. One chain everywhere, and every log in it."""
        self.screen.step("the verification node returns: one chain everywhere, and no log is missing in it")
        for host in HOSTS:
            self.start_host(host)
        self.serve_node()
        self.watch.mark()
        self.switch_on(BOARDS[1:])
        self.boards[BOARDS[0]].reset()
        self.watch.expect(dict.fromkeys(BOARDS, (Expected("current", case="C1-1"),)), C2_S, self.screen.event)
        found = self.level()
        for place in self.places:
            self.command("chain", "verify", place)
        records = chains.Records(self.place)
        assert self.ear is not None
        told = records.of(self.ear.heard(), self.keys)
        self.screen.seen("the same tip at 13 nodes", f"height {found['height']}, {found['tip'][:16]}")
        self.screen.seen("no verification log was lost", f"{len(told)} told, {found['logs']} in the chain")
        self.screen.seen("branches that lost", f"{records.lost} blocks, {len(records.in_lost)} logs")

    @property
    def places(self) -> list[Path]:
        """The folders of those that keep the whole chain."""
        return [self.place, *(self.folder / name for name in HOSTS)]

    def level(self) -> dict[str, Any]:
        """Wait until all chains are one and hold every log that was told; what `chain verify` says of it."""
        end = time.monotonic() + CHAIN_S
        patient = time.monotonic() + BEHIND_S
        while True:
            rows = [chains.verified(place) for place in self.places]
            tips = {row["tip"] for row in rows}
            late = [name for name in BOARDS if not self.is_at(name, rows[0])] if len(tips) == 1 else []
            assert self.ear is not None
            missing = chains.Records(self.place).missing(self.ear.heard(), self.keys)
            if len(tips) == 1 and not late and not missing:
                return rows[0]
            self.check()
            if time.monotonic() > end:
                raise NotSeen(f"not one chain within {CHAIN_S} s: tips {tips}, behind {late}, missing {missing}")
            if late and time.monotonic() > patient:  # it missed the last block: its next check will show it
                self.screen.say(f"{late[0]} is reset")
                self.boards[late[0]].reset()
                patient = time.monotonic() + STALL_S
            time.sleep(ASK_AGAIN_S)

    def is_at(self, name: str, row: dict[str, Any]) -> bool:
        """Whether the board has this tip."""
        url = f"http://{self.boards[name].ip}:{self.port + 4}"
        return chains.board_is_at(url, row["height"], row["tip"])
