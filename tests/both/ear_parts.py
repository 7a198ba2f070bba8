"""A board's ear on its local network, and its roles, without a network: what their tests share."""

from c2_parts import Exchange, Own, R
from chain_parts import MODEL, TIME
from fwnode.broadcasts import Broadcasts
from fwnode.chain.header import Header
from fwnode.config import Config
from fwnode.neighbours import Neighbours
from fwnode.roles.identity import Counters
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode

NEAR = "10.0.0.7"
exchange = Exchange()  # of which everybody has heard
ASK = exchange.asked
JOIN = exchange.join()
LOG = exchange.confirmations(JOIN, 1)[0]


class Lan:
    """Counts what may come again."""

    def __init__(self):
        self.again_count = 0

    def again(self):
        self.again_count += 1


class Node:
    """As much of a node as its ear needs."""

    ip, mask, local = "10.0.0.1", "255.255.255.0", None

    def __init__(self, **config):
        self.config = Config(dict({"model": MODEL, "platform": "virtual"}, **config))
        self.boot = self
        self.version = "1.0.0"
        self.keys = {"genesis": exchange.network.net + bytes(24)}
        self.update_only = self.trial = None
        self.ledger = self
        self.time = TIME + 100
        self.clock = self
        self.lan = Lan()
        self.hooks = self
        self.states = []
        self.dropped = {}

    def told(self):
        return self.time

    now = told

    def state(self, kind, **facts):
        self.states.append(kind)


class Engine:
    """Loaded roles that wait for the logs of one request."""

    def __init__(self, request):
        self.request = request

    def wants(self, request):
        return request == self.request


def ear(**config):
    return Broadcasts(Node(**config))


def changed(data, **changes):
    """A message with other fields, its signature no longer right: nobody looks at it here."""
    body = decode(data)
    body.update(changes)
    return encode({name: value for name, value in body.items() if value is not None})


def block(number=5, head=None):
    """The announcement of a block by board `number`, never mined."""
    _, public, certificate = exchange.network.board(number)
    if head is None:
        header = Header(600, bytes(32), bytes(32), TIME, 16)
        head = {"t": b"head", "net": exchange.network.net, "head": header.encode(), "c": 0, "root": 1}
        head["cert"] = certificate
        head["sig"] = bytes(64)
    told = message.new("block", exchange.network.net, message.node_id(public, R), b"", R)
    told["block"] = encode(head)
    told["port"], told["ts"], told["sig"] = 4000, TIME + 100, bytes(64)
    return encode(told)


def fresh(number):
    """A join that claims a key of its own."""
    public = b"\x04" + number.to_bytes(64, "big")
    certificate = {"d": MODEL, "pu": public, "exp": TIME * 2, "by": bytes(20), "sig": bytes(64)}
    return changed(JOIN, cert=encode(certificate), **{"from": message.node_id(public, R)})


class Many:
    """A gate that knows many members."""

    members = 1000


def randbelow_of(module, other):
    kept, module.randbelow = module.randbelow, other
    return kept


def engine_of(door):
    engine = Neighbours(door.node, door)
    engine.me = exchange.me(2)
    engine.genesis = exchange.genesis
    engine.authority = exchange.authority()
    engine.own = Own()
    engine.counters = Counters(door.node.dropped)
    return engine
