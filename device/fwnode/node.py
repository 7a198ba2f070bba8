"""The running node: checks its firmware again and again, updates it, and serves it to others."""

import asyncio

from fwnode.compat import forget, random_int, tidy
from fwnode.errors import FwError
from fwnode.exchange import drive
from fwnode.net import NetError
from fwnode.net.http import get
from fwnode.net.listener import Listener
from fwnode.roles import END, log
from fwnode.roles.identity import Counters
from fwnode.roles.request import Request
from fwnode.sharing import Sharing
from fwnode.swarm import new_peer_id
from fwnode.trust.root import MAX_ROOT, Root
from fwnode.update import Refused, UpdateError
from fwnode.wire.bencode import decode_dict, encode

TRIAL_TRIES = 5  # checks that a new release gets to reach somebody
EXCHANGE = "exchange"  # the file with what the log after an update must name
MAX_UNSENT = 8


class Node:
    """A board in its network. `run` never ends but by a reset."""

    def __init__(self, config, hooks, boot, clock, root, me, courier, ip: str, reset) -> None:  # type: ignore[no-untyped-def]
        self.config = config
        self.hooks = hooks
        self.boot = boot
        self.clock = clock
        self.root = root
        self.me = me
        self.courier = courier
        self.ip = ip
        self.reset = reset
        self.counters = Counters()
        self.peer_id = new_peer_id()
        self.unsent: list = []
        self.answered_s = 0
        self.proved = None
        self.wake = asyncio.Event()
        self.sharing = None

    async def run(self) -> None:
        """Prove a new release on trial, then check, sleep, and check again."""
        self.sharing = Sharing(self)
        listener = Listener(self.ip, self.config.port, self.on_message, self.sharing.on_peer)
        await listener.start()
        if self.boot.trial:
            await self._trial()
        await self._report_outcome()
        await self.sharing.seed()
        while True:
            wait_s = self.config.check_s if await self.check() else self.config.retry_s
            if self.clock.stale(self.answered_s):
                self.hooks.state("stale", uptime_s=self.clock.uptime_s())
            try:
                await asyncio.wait_for(self.wake.wait(), wait_s)
            except asyncio.TimeoutError:
                pass
            self.wake.clear()

    def check_now(self) -> None:
        """Check without waiting for the next turn."""
        self.wake.set()

    async def on_message(self, body: bytes, ip: str) -> bytes:
        """A message from a fellow board: none is taken in this role."""
        self.counters.count("unasked")
        return b""

    # checking

    async def check(self) -> bool:
        """One exchange, and what follows from it; whether somebody answered."""
        request = self._request()
        action = await self.courier.run(request)
        if request.with_node is None:
            self.hooks.state("unanswered", why=action[-1])
            return False
        self.answered_s = self.clock.uptime_s()
        node = request.with_node
        source, newest_root = node.source, request.newest_root
        try:
            if action[0] == END:
                self.hooks.state(action[1], version=self.boot.version, why=action[2])
                await self._log(request, action[1])
            else:
                _, release, peers, repair = action
                row = {"r": request.r, "res": node.node}
                node = None
                if repair:
                    self.hooks.state("tampered", version=release.version, verifier=request.verifier.hex())
                    await self._log(request, log.TAMPERED)
                release.settle()
                request = action = None  # their room is needed now
                await self._update(row, release, peers, repair)
            await self._send_unsent()
            await self._follow(source, newest_root)
        except (NetError, UpdateError) as error:
            self.hooks.state("error", what="check", why=str(error))
        return True

    def _request(self) -> Request:
        def measure():  # type: ignore[no-untyped-def]
            yield from self.boot.verify()
            return self.boot.verifier

        known = self.boot.record["h"] if self.boot.record else None
        self.hooks.state("checking", version=self.boot.version)
        return Request(
            self.me,
            self.boot.version,
            self.root,
            measure,
            self.clock,
            self.counters,
            len(self.courier.nodes),
            random_int(63),
            known,
        )

    async def _log(self, request, outcome: str) -> None:  # type: ignore[no-untyped-def]
        await self._tell(
            {
                "r": request.r,
                "res": request.with_node.node,
                "o": outcome.encode(),
                "v": self.boot.version.encode(),
                "h": request.verifier or self.boot.verifier,
            }
        )

    async def _tell(self, row: dict) -> None:
        """Broadcast the verification log that `row` describes; kept for later when no verification node takes it."""
        data = await drive(
            log.verification_log(
                self.me, row["r"], row["res"], self.clock.now() or 0, row["o"].decode(), row["v"].decode(), row["h"]
            )
        )
        if not await self.courier.tell(data):
            self.unsent.append(data)
            del self.unsent[:-MAX_UNSENT]

    async def _send_unsent(self) -> None:
        waiting, self.unsent = self.unsent, []
        for data in waiting:
            if not await self.courier.tell(data):
                self.unsent.append(data)

    async def _follow(self, url: str, newest_root: int) -> None:
        """Take newer trust roots, one after the other, and the chain's new headers."""
        while newest_root > self.root.number:
            raw = await get("{}/root/{}".format(url, self.root.number + 1), MAX_ROOT, self.courier.local)
            new = Root(raw)
            await drive(self.root.check_next(new))
            self.boot.files.write("root", raw)
            self.root = new
            self.hooks.state("root", number=new.number)
        await self._headers(url)

    async def _headers(self, url: str) -> None:
        tidy(2048)
        from fwnode.headers import sync

        tidy()
        try:
            height = await sync(url, self.boot.files, self.root, self.clock.now(), self.courier.local)
        finally:
            del sync
            forget("fwnode.headers", "fwnode.chain")
        if height is not None:
            self.hooks.state("headers", height=height)

    # updating

    async def _update(self, row: dict, release, peers: list, repair: bool) -> None:  # type: ignore[no-untyped-def]
        self.hooks.state("offered", version=release.version, repair=repair, peers=len(peers))
        tidy(2048)
        from fwnode.update.install import Install

        try:
            install = Install(
                self.boot, release, self.config.model, self.config.platform, self.clock.now(), self.clock.uptime_s()
            )
        except Refused as error:
            self.hooks.state("refused", version=release.version, reason=error.reason, why=str(error))
            return
        if not self.hooks.may_update(release):
            self.hooks.state("held", version=release.version)
            return
        row = dict(row, o=(log.REPAIRED if repair else log.UPDATED).encode(), v=release.version.encode(), h=release.verifier)
        try:
            await self.sharing.download(release, install.storage, peers)
            await drive(install.finish())
        except FwError as error:
            self.hooks.state("failed", version=release.version, why=str(error))
            if not repair:  # of a repair, "tampered" is logged already
                await self._tell(dict(row, o=log.FAILED.encode()))
            return
        self.boot.files.write(EXCHANGE, encode(row))
        self.hooks.state("installed", version=release.version, slot=install.slot.label)
        self.reset()

    # the first boot of a release

    async def _trial(self) -> None:
        """Self-test, then somebody must answer; else reset, and the boot loader goes back."""
        version = self.boot.version
        passed = self.boot.genuine and self.hooks.self_test()
        self.hooks.state("self-test", version=version, passed=passed)
        if not passed:
            self._give_up("check")
            return
        for _ in range(TRIAL_TRIES):
            request = self._request()
            await self.courier.run(request)
            if request.with_node is not None:
                self.proved = request
                self.boot.confirm()
                self.hooks.state("confirmed", version=version, slot=self.boot.place)
                return
            await asyncio.sleep(1)
        self._give_up("network")

    def _give_up(self, reason: str) -> None:
        self.boot.fail(reason)
        self.hooks.state("giving-up", version=self.boot.version, reason=reason)
        self.reset()

    async def _report_outcome(self) -> None:
        """Log what became of the last release: it runs and is confirmed, or it was rolled back."""
        outcome = self.boot.outcome
        if outcome is None:
            return
        kind, version, reason = outcome
        self.hooks.state(kind.replace("_", "-"), version=version, why=reason)
        raw = self.boot.files.read(EXCHANGE)
        if raw:
            row = decode_dict(raw, EXCHANGE, 512)
            if row["v"] == version.encode():
                await self._tell(self._final(row, kind))
        self.boot.told()
        self.boot.files.remove(EXCHANGE)

    def _final(self, row: dict, kind: str) -> dict:
        """The log's row after the reset. An exchange has one log: a repair's first one said "tampered", so the
        repaired firmware is logged under the exchange that proved it."""
        if row["o"] == log.REPAIRED.encode():
            row["r"] = self.proved.r if self.proved else random_int(63)
            if self.proved:
                row["res"] = self.proved.with_node.node
        if kind != "updated":
            row["o"] = log.ROLLED_BACK.encode()
        return row
