"""The running node: checks its firmware again and again, updates it, and serves it to others."""

import asyncio

from fwnode.broadcasts import Broadcasts
from fwnode.compat import drive, forget, randbelow, random_int, tidy
from fwnode.errors import FwError
from fwnode.found import Found
from fwnode.ledger import Ledger
from fwnode.net.listener import Listener
from fwnode.rare import Rare
from fwnode.sharing import Sharing
from fwnode.update import RARE, ImageError, Refused, SlotError
from fwnode.wire.bencode import decode_dict, encode

TRIAL_TRIES = 5  # checks that a new release gets to reach somebody
EXCHANGE = "exchange"  # the file with what the log after an update must name
# what only an exchange needs, and what only an update needs
CHECKING = (
    "fwnode.checking",
    "fwnode.exchange",
    "fwnode.credentials",
    "fwnode.neighbours",
    "fwnode.asking",
    "fwnode.fetching",
    "fwnode.blockmaking",
    "fwnode.unsent",
    "fwnode.headers",
    "fwnode.chain",
    "fwnode.roles",
    "fwnode.trust",
    "fwnode.wire.message",
    "fwnode.wire.fields",
    "fwnode.crypto",
)
UPDATING = ("fwnode.swarm.download", "fwnode.swarm.pieces", "fwnode.swarm.dial", "fwnode.swarm.webseed") + RARE


class Node:
    """A board in its network. `run` never ends but by a reset."""

    def __init__(self, config, hooks, boot, clock, reset) -> None:  # type: ignore[no-untyped-def]
        self.config = config
        self.hooks = hooks
        self.boot = boot
        self.clock = clock
        self.reset = reset
        self.ip = ""  # the address in the network that was joined
        self.mask = ""
        self.local: str | None = None  # the address that connections leave from, where that is not plain
        self.lan = None
        self.dropped: dict = {}
        self.answered_s = 0
        self.wake = asyncio.Event()
        self.turn = asyncio.Lock()  # C1 and C2 are loaded one at a time
        self.rare = Rare(CHECKING)
        self.offered: Found | None = None  # a newer release that C2-1 told of
        self.sharing = Sharing(self)
        self.ledger = Ledger(self)
        self.broadcasts = Broadcasts(self)
        self.tasks: list = []

    async def run(self) -> None:
        """Prove a new release on trial, then check, sleep, and check again."""
        listener = Listener(self.ip, self.config.port, self.on_message, self.sharing.on_peer, self.on_get)
        await listener.start()
        if self.lan is not None:
            self.tasks = [asyncio.create_task(self.broadcasts.listen()), asyncio.create_task(self.broadcasts.serve())]
        if self.boot.trial:
            await self._trial()
        self._say_outcome()
        if self.boot.update_only:
            self.hooks.state("update-only", version=self.boot.version)
        else:
            await self.sharing.seed()
        while True:
            wait_s = self.config.check_s if await self.check() else self.config.retry_s
            if self.clock.stale(self.answered_s):
                self.hooks.state("stale", uptime_s=self.clock.uptime_s())
            try:
                # a fleet that was switched on together does not ask together for ever
                await asyncio.wait_for(self.wake.wait(), wait_s * (75 + randbelow(51)) / 100)
            except asyncio.TimeoutError:
                pass
            self.wake.clear()

    def check_now(self) -> None:
        """Check without waiting for the next turn."""
        self.wake.set()

    def drop(self, reason: str) -> None:
        """Count a message that was dropped."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    async def on_message(self, body: bytes, ip: str) -> bytes:
        """A fellow's message; one that belongs to no exchange of this board costs nothing."""
        engine = self.broadcasts.engine
        if engine is None:
            self.drop("unasked")
            return b""
        return await engine.on_message(body, ip)  # type: ignore[no-any-return]

    def on_get(self, path: str) -> bytes | None:
        """What fellows and whole nodes may GET here."""
        if path.startswith("/chain/"):
            return self.ledger.get(path)
        return None

    # checking

    async def check(self) -> bool:
        """One check, and what follows from it; whether somebody answered."""
        self.broadcasts.give_way()
        try:
            found, self.offered = self.offered, None
            if found is None:
                self.hooks.state("checking", version=self.boot.version)
                found = await self._ask()
            return await self._follow(found)
        except FwError as error:
            self.hooks.state("error", what="check", why=str(error))
            return False
        finally:
            self.broadcasts.resume()

    async def _follow(self, found: Found) -> bool:
        """Act on what an exchange found."""
        if not found.answered:
            self.hooks.state("unanswered", why=found.why)
            return False
        if found.by_node:
            self.answered_s = self.clock.uptime_s()
        await self._log_outcome()
        if found.url:
            await self.ledger.sync(found.url)
        if found.release is None:
            counted = {"confirmations": found.confirmations} if found.confirmations else {}
            self.hooks.state(found.outcome, version=self.boot.version, why=found.why, case=found.case, **counted)
        else:
            async with self.turn:
                await self._update(found)
        return True

    async def _ask(self) -> Found:
        """C1; where no verification node answers, C2."""
        async with self.turn:
            found = await self._exchange()
        if not found.answered and self.lan is not None:
            self.broadcasts.resume()
            found = await self.broadcasts.ask(found.asked)
            self.broadcasts.give_way()
        return found

    async def _exchange(self) -> Found:
        with self.rare:
            checker = await self._checker()
            found = await checker.exchange()
            checker = None
        return found  # type: ignore[no-any-return]

    async def _checker(self):  # type: ignore[no-untyped-def]
        """The loaded part of a check; whoever takes it does so `with self.rare`."""
        tidy(2048)
        from fwnode.checking import Checker

        tidy()
        checker = Checker(self)
        await checker.open()
        return checker

    async def _tell(self, row: dict) -> None:
        with self.rare:
            checker = await self._checker()
            await checker.tell(row)
            checker = None

    # updating

    async def _update(self, found) -> None:  # type: ignore[no-untyped-def]
        release = found.release
        if found.repair:
            self.hooks.state("tampered", version=release.version, verifier=found.row["h"].hex())
        self.hooks.state(
            "offered", version=release.version, repair=found.repair, peers=len(found.peers), case=found.case
        )
        row = dict(found.row)
        row["o"] = b"repaired" if found.repair else b"updated"
        row["v"] = release.version.encode()
        row["h"] = release.verifier
        try:
            await self._install(release, found.peers, row)
        except Refused as error:
            self.hooks.state("refused", version=release.version, reason=error.reason, why=str(error))
        except FwError as error:
            self.hooks.state("failed", version=release.version, why=str(error))
            if not found.repair:  # an exchange has one log, and this one's says "tampered" already
                row["o"] = b"failed"
                await self._tell(row)
        finally:
            forget(*UPDATING)

    async def _install(self, release, peers: list, row: dict) -> None:  # type: ignore[no-untyped-def]
        tidy(2048)
        from fwnode.update.install import Install

        config = self.config
        install = Install(self.boot, release, config.model, config.platform, self.clock.now(), self.clock.uptime_s())
        if not self.hooks.may_update(release):
            self.hooks.state("held", version=release.version)
            return
        try:
            if row["o"] == b"repaired":
                await drive(install.salvage())
            await self.sharing.download(release, install.storage, peers)
            await drive(install.finish())
        except (ImageError, SlotError):
            install.reject()
            raise
        self.boot.files.write(EXCHANGE, encode(row))
        self.hooks.state("installed", version=release.version, slot=install.place)
        self.reset()

    # the first boot of a release

    async def _trial(self) -> None:
        """Self-test, then somebody must answer; else reset, and the boot loader goes back."""
        version = self.boot.version
        if not self.boot.genuine:
            self.give_up("image")
            return
        passed = self.hooks.self_test()
        self.hooks.state("self-test", version=version, passed=passed)
        if not passed:
            self.give_up("check")
            return
        for _ in range(TRIAL_TRIES):
            found = await self._ask()
            if found.answered:
                self.boot.confirm()
                self.hooks.state("confirmed", version=version, slot=self.boot.place)
                return
            await asyncio.sleep(1)
        self.give_up("network")

    def give_up(self, reason: str) -> None:
        """The release on trial failed, for `reason`: reset, and the boot loader goes back to the old one."""
        self.boot.fail(reason)
        self.hooks.state("giving-up", version=self.boot.version, reason=reason)
        self.reset()

    def _say_outcome(self) -> None:
        """Tell what became of the last release: it runs and is confirmed, or it was rolled back."""
        if self.boot.outcome is not None:
            kind, version, reason = self.boot.outcome
            row = self._installed()
            repaired = kind == "updated" and row is not None and row["o"] == b"repaired"
            self.hooks.state("repaired" if repaired else kind.replace("_", "-"), version=version, why=reason)

    def _installed(self):  # type: ignore[no-untyped-def]
        """The row that the last installation left for its log, None when there is none for this outcome."""
        raw = self.boot.files.read(EXCHANGE)
        row = decode_dict(raw, EXCHANGE, 512) if raw else None
        return row if row is not None and row["v"].decode() == self.boot.outcome[1] else None

    async def _log_outcome(self) -> None:
        """Log it, once somebody has answered and told the time."""
        if self.boot.outcome is None:
            return
        row = self._installed()
        if row is not None:
            await self._tell(self._final(row, self.boot.outcome[0]))
        self.boot.told()
        self.boot.files.remove(EXCHANGE)
        forget(*RARE)

    def _final(self, row: dict, kind: str) -> dict:
        """The log's row after the reset. An exchange has one log: a repair's said "tampered" already, and the one that
        proved the repair says "current", so what became of the repair is logged under a new request ID.
        """
        if row["o"] == b"repaired":
            row["r"] = random_int(63)
        if kind != "updated":
            row["o"] = b"rolled-back"
        return row
