"""Those who would have a board believe a false verifier: `python -m fwchain.demo.sybils NETWORK PORT EVENTS`.

They wait for a board's request and answer it with fwnode's own roles and with keys of their own: one whose certificate
is good (a stolen board's) calls for confirmations of a false verifier, and gets them from two hundred IDs without
certificate, from seven certified boards of another model, and from seven certified boards that name another verifier.
Each shows its proof of work and signs. Then the answer goes to the board, whose H(fv) would show that it believed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from fwchain import network as networks
from fwchain.events import Log
from fwchain.flashing.provision import certify
from fwchain.network import Network
from fwnode import crypto
from fwnode.chain.authority import Authority
from fwnode.compat import drive
from fwnode.crypto import sha256
from fwnode.errors import FwError
from fwnode.net import NetError
from fwnode.net.http import post
from fwnode.net.lan import Lan
from fwnode.net.listener import Listener
from fwnode.net.messages import PATH
from fwnode.roles.confirming import Confirming
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.response import COMPARING, Response
from fwnode.roles.strangers import Replays
from fwnode.wire import message
from fwnode.wire.fields import MAX_MESSAGE

ADDRESS = "127.66.0.1"
OTHER_MODEL = "kiln"
FALSE = sha256(b"a firmware that nobody signed")
OTHER = sha256(b"another firmware that nobody signed")
UNCERTIFIED = 200
CERTIFIED = 7  # of each kind: as many as a verifier needs
AT_ONCE = 10
PACE_S = 0.8  # between two with a certificate, each of which costs the board elliptic curves
BELIEVED_S = 3.0  # that the board gets to send H(fv)


class FalseOwn:
    """What the answerer pretends to run."""

    verifier = FALSE
    info_hash = b""
    metainfo = b""

    def __init__(self, address: tuple[str, int]) -> None:
        self.version = ""  # what is asked about
        self.address = address


class Wall:
    """The attackers know the time."""

    def now(self) -> int:
        """Seconds since 1970."""
        return int(time.time())

    told = now


class Sybils:
    """All of them, against the first board that asks."""

    def __init__(self, network: Network, port: int, log: Log) -> None:
        """`port` is free at ADDRESS: there the answerer takes what the board sends it."""
        self.network = network
        self.model = str(network.config["board"]["model"])
        self.port = port
        self.log = log
        self.counters = Counters()
        self.authority = Authority(network.root, network.genesis.certified)
        lan = network.config["lan"]
        self.lan = Lan(lan["group"], lan["port"], ADDRESS)
        self.listener = Listener(ADDRESS, port, self._on_message, None)
        self.response: Response | None = None
        self.believed = asyncio.Event()

    async def run(self) -> None:
        """Wait for a request, and attack it."""
        await self.listener.start()
        self.log.emit("ready")
        while not await self._attack(*await self.lan.receive()):
            pass

    async def _on_message(self, body: bytes, ip: str) -> bytes:
        """What the board sends to the answerer; it goes on only when it believes."""
        if self.response and await drive(self.response.receive(body)):
            self.believed.set()
        return b""

    def _identity(self, model: str = "") -> Identity:
        """A new key, certified for `model`, or not at all."""
        private = crypto.generate_key()
        public = crypto.public_key(private)
        credential = ("cert", certify(self.network, model, public)) if model else ("pu", public)
        return Identity(private, public, credential, model or self.model, self.network.genesis.net, self.port)

    async def _attack(self, ask: bytes, ip: str) -> bool:
        """Attack who sent this, if it is a request; whether it was."""
        answerer = self._identity(self.model)
        own = FalseOwn((ADDRESS, self.port))
        response = Response(answerer, own, self.network.genesis, self.authority, Wall(), self.counters)
        try:
            asked = message.parse(ask)
            source = (ip, asked["port"])
            response.consider(ask, source, 0)
        except (FwError, KeyError):
            return False
        own.version = asked["v"].decode()
        self.response = response
        join = (await drive(response.elapsed()))[0][1]
        await self.lan.broadcast(join)
        uncertified = [await self._confirm(join, "") for _ in range(UNCERTIFIED)]
        for first in range(0, UNCERTIFIED, AT_ONCE):
            await asyncio.gather(*(self.lan.broadcast(log) for log in uncertified[first : first + AT_ONCE]))
        for _ in range(CERTIFIED):
            await self._tell(await self._confirm(join, OTHER_MODEL))
            await self._tell(await self._confirm(join, self.model, OTHER))
        await self._answer(response, source)
        self.log.emit(
            "attacked",
            uncertified=UNCERTIFIED,
            other_model=CERTIFIED,
            other_verifier=CERTIFIED,
            believed=self.believed.is_set(),
        )
        return True

    async def _tell(self, log: bytes) -> None:
        await self.lan.broadcast(log)
        await asyncio.sleep(PACE_S)

    async def _confirm(self, join: bytes, model: str, verifier: bytes = FALSE) -> bytes:
        """The log of one of them that confirms the join; `verifier` is what it says that it confirms."""
        me = self._identity(model)
        genesis, authority, counters = self.network.genesis, self.authority, self.counters
        confirming = Confirming(
            *(me, genesis, authority, Wall(), counters, lambda model, version: FALSE, Replays(), lambda public: True)
        )
        data: bytes = (await drive(confirming.receive(join)))[0][1]
        if verifier != FALSE:
            log = message.parse(data)
            log["h"] = verifier
            data = await drive(message.sign(me.private, log))
        return data

    async def _answer(self, response: Response, source: tuple[str, int]) -> None:
        """The answerer goes on as if it had its seven confirmations."""
        response.state = COMPARING
        url = f"http://{source[0]}:{source[1]}{PATH}"
        try:
            await post(url, await drive(response._res_verchk()), MAX_MESSAGE, ADDRESS)
            await asyncio.wait_for(self.believed.wait(), BELIEVED_S)
        except (NetError, asyncio.TimeoutError):
            pass


def main() -> None:
    """Attack the network of the folder in the first argument, and end."""
    folder, port, events = sys.argv[1:]
    asyncio.run(Sybils(networks.load(folder), int(port), Log(Path(events), process="sybils")).run())


if __name__ == "__main__":
    main()
