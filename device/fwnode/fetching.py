"""M and L of a version that C2 has found (paper 3.3.2): C2-1 steps 7 to 14, C2-3 steps 5 to 12. Loaded on demand."""

import asyncio

from fwnode.compat import drive
from fwnode.credentials import Credentials
from fwnode.found import Found
from fwnode.net import NetError
from fwnode.net.http import post
from fwnode.net.messages import PATH
from fwnode.roles import END, SEND, UPDATE
from fwnode.roles.handing import REPAIR
from fwnode.roles.identity import Counters
from fwnode.roles.newer import Newer
from fwnode.trust.contents import Contents
from fwnode.wire.fields import MAX_MESSAGE
from fwnode.wire.message import key_id

MAX_NODES = 4  # verification nodes asked
TIMEOUT_MS = 10000
PAUSE_S = 1


def _targets(node, root, k: int, fellows: list) -> list:  # type: ignore[no-untyped-def]
    """[(ID, public key, URL)] to ask in turn: verification nodes, then the fellows (design: addition 9).

    Fellows are asked alone for a repair: the numbers of C2-2 are used up, and a verification node would have answered
    in C1.
    """
    asked = []
    if k != REPAIR:
        for url in node.config.nodes:
            asked += [(key_id(key), key, url + PATH) for key in root.nodes]
    near = [(who, key, "http://{}:{}{}".format(ip, port, PATH)) for who, key, (ip, port) in fellows]
    return asked[:MAX_NODES] + near


async def fetch(node, k: int, r: int, fellows: list) -> Found | None:  # type: ignore[no-untyped-def]
    """What the first one that can be reached hands over, None when nobody does; `fellows` are (ID, public key,
    (address, port)) each, `k` and `r` as fwnode.roles.newer has them.
    """
    state, running = node.hooks.state, node.boot.version
    who = await Credentials(node).read()
    counters = Counters(node.dropped)
    for target, public, url in _targets(node, who.root, k, fellows):
        ask = Newer(who.me, running, who.root, node.clock, counters, r, k, target, public, url)
        actions = await drive(ask.begin())
        while actions and actions[0][0] == SEND:
            try:
                reply = await post(url, actions[0][2], MAX_MESSAGE, node.local, TIMEOUT_MS)
            except NetError as error:
                state("unreached", where=url, why=str(error))
                break
            if reply:
                actions = await drive(ask.receive(reply)) or [(END, "", "its answer does not hold")]
            else:  # it has no room at the moment
                await asyncio.sleep(PAUSE_S)
                actions = await drive(ask.expire())
        if actions and actions[0][0] == END:
            state("not-handed", where=url, why=actions[0][2], dropped=node.dropped)
        elif actions and actions[0][0] == UPDATE:
            return _found(node, k, r, target, url, actions[0])
    return None


def _found(node, k: int, r: int, target: bytes, url: str, action: tuple) -> Found:  # type: ignore[no-untyped-def]
    found = Found()
    found.answered = True
    found.url = url[: -len(PATH)]
    found.case = "C2-2" if k == REPAIR else "C2-1"
    found.release, found.peers, found.repair = Contents(action[1]), action[2], action[3]
    boot = node.boot
    found.row = {"r": r, "res": target, "o": b"", "v": boot.version.encode(), "h": boot.verifier}
    return found
