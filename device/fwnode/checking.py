"""One check of a board's firmware, from the request to the log: loaded when it is due, let go after it.

Elliptic curves, messages and trust documents are most of fwnode's code and are needed for a second an hour; in
between, their room on the heap belongs to the download and to the maker's application.
"""

from fwnode import unsent
from fwnode.compat import drive, forget, random_int
from fwnode.credentials import Credentials
from fwnode.exchange import Courier
from fwnode.found import Found
from fwnode.roles import END, log
from fwnode.roles.identity import Counters
from fwnode.roles.request import Request
from fwnode.trust.contents import Contents

BLOCK = "block"


class Checker:
    """Plays the request node for `node`; `await open()` first. Raises FwError where a document is missing or wrong."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.files = node.boot.files
        self.courier = Courier(node.config.nodes, node.lan, node.local, self._unreached)

    def _unreached(self, where: str, why: str) -> None:
        self.node.hooks.state("unreached", where=where, why=why)

    async def open(self) -> None:
        """Read whom to trust and who this board is."""
        who = await Credentials(self.node).read()
        self.root, self.me = who.root, who.me
        del who
        forget("fwnode.credentials", "fwnode.chain")

    async def exchange(self, behind_too: bool = False) -> Found:
        """One exchange; its end is logged. When who answered has newer trust roots, nothing is acted on but that
        (`Found.behind`), unless `behind_too`.
        """
        node = self.node
        strangers = node.dropped.get("sender", 0)
        request = self._request()
        action = await self.courier.run(request)
        found = Found()
        sources, newest = self._behind(request, node.dropped.get("sender", 0) > strangers)
        if sources and not behind_too:  # what an older trust root let count, or refused, is asked for anew
            found.behind = (sources, newest)
            return found
        answer = request.with_node
        if answer is None:
            found.why = action[-1]
            found.asked = (request.r, self.courier.asked)
            return found
        found.answered = found.by_node = True
        found.case = "C1-1" if action[0] == END or action[3] else "C1-2"
        found.url = answer.source
        found.row = {
            "r": request.r,
            "res": answer.node,
            "o": action[1].encode() if action[0] == END else log.TAMPERED.encode(),
            "v": node.boot.version.encode(),
            "h": request.verifier or node.boot.verifier,
        }
        if action[0] == END:
            found.outcome, found.why = action[1], action[2]
        else:
            found.release, found.peers, found.repair = Contents(action[1]), action[2], action[3]
        certificate, recalls = request.certificate, request.recalls
        over = action[0] == END
        del request, action, answer  # room for what follows
        if certificate is not None or recalls:
            from fwnode.checking_news import take

            await take(self, certificate, recalls)
        if over or found.repair:
            await self.tell(found.row)
        await self.send_waiting()
        return found

    def _behind(self, request: Request, unknown: bool) -> tuple:
        """(who has newer trust roots, the newest number that they tell of): nobody where this root is the newest.

        `unknown`: somebody answered whom this root does not name, as after a rotation of the verification nodes' keys;
        then whoever is asked can have newer roots. What they hand over proves itself.
        """
        if not request.answers:
            return (self.courier.nodes if unknown else []), None
        newest = request.newest_root
        return [answer.source for answer in request.answers if newest > self.root.number], newest

    def _request(self) -> Request:
        boot = self.node.boot

        def measure():  # type: ignore[no-untyped-def]
            yield from boot.verify()
            return boot.verifier

        return Request(
            self.me,
            boot.version,
            self.root,
            measure,
            self.node.clock,
            Counters(self.node.dropped),
            len(self.courier.nodes),
            random_int(63),
            boot.record["h"] if boot.record else None,
        )

    async def tell(self, row: dict) -> None:
        """Broadcast the verification log that `row` describes; kept for later when no verification node takes it."""
        now = self.node.clock.told() or 0
        outcome, version = row["o"].decode(), row["v"].decode()
        data = await drive(log.verification_log(self.me, row["r"], row["res"], now, outcome, version, row["h"]))
        unsent.expect(self.files, data)
        if not await self.courier.tell(data):
            unsent.keep(self.files, data)

    async def send_waiting(self) -> None:
        """Try again what no verification node has taken yet: logs, and this board's own last block."""
        waiting = unsent.read(self.files)
        if waiting:
            left = []
            for data in waiting:
                if not await self.courier.tell(data, True):
                    left.append(data)
            if len(left) < len(waiting):
                unsent.write(self.files, left)
        block = self.files.whole(BLOCK)
        if block is not None and await self.courier.give(block):
            self.files.remove(BLOCK)
