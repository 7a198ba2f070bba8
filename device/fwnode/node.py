"""The running node: checks its firmware again and again, updates it, and serves it to others."""

import asyncio

from fwnode.broadcasts import Broadcasts
from fwnode.compat import randbelow, tidy
from fwnode.errors import FwError
from fwnode.found import Found
from fwnode.net.listener import Listener
from fwnode.rare import HTTP, Rare
from fwnode.sharing import Sharing

# what only an exchange needs
CHECKING = (
    "fwnode.checking",
    "fwnode.exchange",
    "fwnode.credentials",
    "fwnode.neighbours",
    "fwnode.asking",
    "fwnode.fetching",
    "fwnode.afterwards",
    "fwnode.ledger",
    "fwnode.roots",
    "fwnode.blocks",
    "fwnode.unsent",
    "fwnode.proofs",
    "fwnode.headers",
    "fwnode.chain",
    "fwnode.roles",
    "fwnode.trust",
    "fwnode.wire.message",
    "fwnode.wire.fields",
    "fwnode.wire.bencode",
    "fwnode.crypto",
)
UPDATING = ("fwnode.updating",)
FOLLOWING = ("fwnode.following",)


class Node:
    """A board in its network. `run` never ends but by a reset."""

    installer = None  # what takes a release to its place, where that is no slot (fwnode.update.install.Install)

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
        self.checked_s = 0
        self.wake = asyncio.Event()
        self.turn = asyncio.Lock()  # C1 and C2 are loaded one at a time
        self.rare = Rare(CHECKING, HTTP)
        self.update_code = Rare(UPDATING)
        self.following = Rare(FOLLOWING)
        self.offered: Found | None = None  # a newer release that C2-1 told of
        self.sharing = Sharing(self)
        self.broadcasts = Broadcasts(self)
        self.tasks: list = []

    @property
    def ledger(self):  # type: ignore[no-untyped-def]
        """The board's part of the chain: what it has lies in flash, so it is loaded for each use."""
        from fwnode.ledger import Ledger

        return Ledger(self)

    async def run_guarded(self) -> None:
        """`run`, and a new beginning after whatever ended it."""
        try:
            await self.run()
        except Exception as error:  # noqa: BLE001 - whatever it was: nobody can reach this board
            await begin_anew(self.hooks, self.config, self.reset, error)

    async def run(self) -> None:
        """Prove a new release on trial, then check, sleep, and check again."""
        await self.listen()
        if self.lan is not None:
            self.tasks = [asyncio.create_task(self.broadcasts.listen()), asyncio.create_task(self.broadcasts.serve())]
        if self.boot.trial or self.boot.outcome is not None:
            await self._prove()
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

    async def listen(self) -> None:
        """Take connections on the node's one port."""
        listener = Listener(self.ip, self.config.port, self.on_message, self.sharing.on_peer, self.on_get)
        await listener.start()

    async def _prove(self) -> None:
        """The first boot of a release, or the one after it failed."""
        with self.update_code:
            from fwnode import updating

            if self.boot.trial:
                await updating.prove(self)
            if self.boot.outcome is not None:
                updating.say_outcome(self)
            del updating

    def check_now(self) -> None:
        """Check without waiting for the next turn."""
        self.wake.set()

    def check_soon(self) -> None:
        """Check without waiting for the next turn, unless that was done a short while ago."""
        if self.clock.uptime_s() - self.checked_s > self.config.retry_s:
            self.wake.set()

    def offer(self, found: Found | None) -> None:
        """A newer release was found by the way (C2-1): take it now."""
        if found is not None:
            self.offered = found
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

    def on_get(self, path: str):  # type: ignore[no-untyped-def]
        """What fellows and whole nodes may GET here."""
        if path.startswith("/chain/"):
            return self.ledger.get(path)
        if not path.startswith("/root/"):
            return None
        with self.rare:
            from fwnode import roots

            return roots.get(self.boot.files, path)

    # checking

    async def check(self) -> bool:
        """One check, and what follows from it; whether somebody answered."""
        self.broadcasts.give_way()
        self.checked_s = self.clock.uptime_s()
        try:
            found, self.offered = self.offered, None
            if found is None:
                self.hooks.state("checking", version=self.boot.version)
                found = await self.ask()
            return await self._follow(found)
        except (FwError, MemoryError) as error:
            self.hooks.state("error", what="check", why=str(error))
            return False
        finally:
            self.broadcasts.resume()

    async def _follow(self, found: Found) -> bool:
        """Act on what an exchange found."""
        if not found.answered:
            self.hooks.state("unanswered", why=found.why, dropped=self.dropped)
            return False
        if found.by_node:
            self.answered_s = self.clock.uptime_s()
        with self.following:
            from fwnode.following import follow

            await follow(self, found)
            del follow
        return True

    async def ask(self) -> Found:
        """C1; where no verification node answers, C2."""
        async with self.turn:
            found = await self._exchange()
        if not found.answered and self.lan is not None:
            self.broadcasts.resume()
            found = await self.broadcasts.ask(found.asked)
            self.broadcasts.give_way()
        return found

    async def _exchange(self) -> Found:
        """C1; newer trust roots are followed first, and then it is asked again."""
        found = await self._one_exchange(False)
        if found.behind is not None:
            await self.catch_up(*found.behind)
            found = await self._one_exchange(True)
        return found

    async def _one_exchange(self, behind_too: bool) -> Found:
        with self.rare:
            checker = await self.checker()
            found = await checker.exchange(behind_too)
            checker = None
        return found  # type: ignore[no-any-return]

    async def catch_up(self, sources: list, newest) -> None:  # type: ignore[no-untyped-def]
        """Take newer trust roots; loaded by itself, for a heap that has no room for an exchange besides."""
        with self.rare:
            tidy(2048)
            from fwnode.checking_roots import catch_up

            tidy()
            await catch_up(self, sources, newest)

    async def checker(self):  # type: ignore[no-untyped-def]
        """The loaded part of a check; whoever takes it does so `with self.rare`."""
        tidy(2048)
        from fwnode.checking import Checker

        tidy(4096)  # garbage must not lie between what stays: a check wants nearly all of the heap
        checker = Checker(self)
        await checker.open()
        return checker

    async def tell(self, row: dict) -> None:
        """Log what `row` says, as a check does; whoever calls this has the turn."""
        with self.rare:
            checker = await self.checker()
            await checker.tell(row)
            checker = None


async def begin_anew(hooks, config, reset, error: Exception) -> None:  # type: ignore[no-untyped-def]
    """Tell of `error`, and reset a while later: who has a cable in can step in meanwhile."""
    hooks.state("error", what="node", why=repr(error))
    await asyncio.sleep(config.retry_s)
    reset()
