"""M and L of a version that C2 has found (paper 3.3.2): C2-1 steps 7 to 14, C2-3 steps 5 to 12. Loaded on demand."""

from fwnode.compat import drive
from fwnode.credentials import ROOT
from fwnode.found import Found
from fwnode.net import NetError
from fwnode.net.http import PATH, post
from fwnode.roles import END, SEND, UPDATE
from fwnode.roles.handing import REPAIR
from fwnode.roles.newer import Newer
from fwnode.trust.contents import Contents
from fwnode.trust.root import Root
from fwnode.wire.fields import MAX_MESSAGE
from fwnode.wire.message import key_id

MAX_TARGETS = 4


def _targets(engine, root: Root, k: int, fellow: tuple) -> list:  # type: ignore[no-untyped-def]
    """[(ID, public key, URL)] to ask in turn: verification nodes, then the fellow (design: addition 9).

    The fellow is asked alone for a repair: the numbers of C2-2 are used up, and a verification node would have
    answered in C1.
    """
    node, public, source = fellow
    asked = []
    if k != REPAIR:
        for url in engine.node.config.nodes:
            asked += [(key_id(key), key, url + PATH) for key in root.nodes]
    return asked[:MAX_TARGETS] + [(node, public, "http://{}:{}{}".format(source[0], source[1], PATH))]


async def fetch(engine, k: int, r: int, fellow: tuple) -> Found | None:  # type: ignore[no-untyped-def]
    """What the first one that can be reached hands over; `fellow` is (ID, public key, (address, port))."""
    state = engine.node.hooks.state
    root = Root(engine.node.boot.files.read(ROOT))
    for node, public, url in _targets(engine, root, k, fellow):
        ask = Newer(
            engine.me,
            engine.node.boot.version,
            engine.root,
            engine.node.clock,
            engine.counters,
            r,
            k,
            node,
            public,
            url,
        )
        actions = await drive(ask.begin())
        while actions and actions[0][0] == SEND:
            try:
                reply = await post(url, actions[0][2], MAX_MESSAGE, engine.node.local, 5000)
            except NetError as error:
                state("unreached", where=url, why=str(error))
                break
            actions = await drive(ask.receive(reply))
        if not actions or actions[0][0] == SEND:
            continue
        if actions[0][0] == END:
            state("refused", version="", reason="c2", why=actions[0][2])
            continue
        if actions[0][0] == UPDATE:
            return _found(engine, r, node, url, actions[0])
    return None


def _found(engine, r: int, node: bytes, url: str, action: tuple) -> Found:  # type: ignore[no-untyped-def]
    found = Found()
    found.answered = True
    found.url = url[: -len(PATH)]
    found.case = "C2"
    found.release, found.peers, found.repair = Contents(action[1]), action[2], action[3]
    boot = engine.node.boot
    found.row = {"r": r, "res": node, "o": b"", "v": boot.version.encode(), "h": boot.verifier}
    return found
