"""What a full node hears of the chain: the message `block`, whole in a POST or by its head in a datagram; and logs.

What is on the local network costs each address its share and no more, so that one that floods holds up nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fwchain.chainstore.ledger import Ledger
from fwnode.chain import header
from fwnode.chain.block import Block
from fwnode.chain.genesis import Genesis
from fwnode.chain.head import Head
from fwnode.chain.log import Log
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.roles.strangers import check_time
from fwnode.trust import Untrusted
from fwnode.trust.cert import Certificate
from fwnode.wire import message

BURST = 64  # messages that an address may send at once
PER_S = 10.0  # and go on sending, a second
MAX_ADDRESSES = 1024
KIND = "block"


def check_block(told: dict[str, Any], genesis: Genesis, now: int, whole: bool) -> Head:
    """The signed head (`whole`: the Block) in a parsed message `block`; raises ChainError, WireError or Untrusted.

    Shape, work, time and ID come before the message's signature; certificate and the block's own are the store's.
    """
    head = Block(told["block"], genesis.net) if whole else Head(told["block"], genesis.net)
    header.check_work(head.head, genesis.difficulty)
    check_time(told["ts"], now)
    public = Certificate(head.body["cert"]).public if "cert" in head.body else head.body.get("pu", b"")
    if told["to"] or told["from"] != message.node_id(public, told["r"]):
        raise Untrusted("id", "from: not made from the key of the block's signer and r")
    if not run(message.verify(told, public)):
        raise Untrusted("signature", "block: wrong signature")
    return head


def is_log(data: bytes, net: bytes) -> bool:
    """Whether the message is a verification log of this network, of an outcome that a block may hold."""
    try:
        Log(data, net)
    except FwError:
        return False
    return True


class Rate:
    """How much an address may send."""

    def __init__(self, burst: int = BURST, per_s: float = PER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._rows: dict[str, tuple[float, float]] = {}  # address: (what it may send, when that was so)

    def take(self, ip: str) -> bool:
        """Whether one more message of this address is looked at."""
        now = self._clock()
        left, at = self._rows.pop(ip, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_s)
        if len(self._rows) >= MAX_ADDRESSES:
            self._rows.pop(next(iter(self._rows)))
        self._rows[ip] = (left - 1 if left >= 1 else left, now)
        return left >= 1


class Hearing:
    """Takes what is broadcast into `ledger`; what is not for it is left, what breaks a rule counted there."""

    def __init__(self, ledger: Ledger, genesis: Genesis) -> None:
        self.ledger = ledger
        self.genesis = genesis
        self.rate = Rate()

    async def take(self, data: bytes, ip: str) -> None:
        """A datagram from `ip`: a verification log goes into the pool, an announced block is fetched."""
        if not self.rate.take(ip):
            self.ledger.counters.count("busy")
            return
        try:
            received = message.parse(data)
            if received["net"] != self.genesis.net:
                raise Untrusted("network", "net: another network")
            if message.kind_of(received) == KIND:
                check_block(received, self.genesis, int(time.time()), whole=False)
                await self.ledger.take_head(received["block"], (ip, received["port"]))
                return
        except FwError as error:
            self.ledger.counters.drop(error)
            return
        await self.take_own(data)

    async def take_own(self, data: bytes) -> None:
        """Put the message into the pool, if it is a log that may stand in a block; others are not for here."""
        if is_log(data, self.genesis.net):
            await self.ledger.take_log(data)
