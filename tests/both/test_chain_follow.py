"""A board follows a node's chain: by checkpoint, by batches with one signature each, back over a fork."""

from chain_parts import TIME, Network
from fwnode.chain import ChainError, checkpoint
from fwnode.chain.follow import BATCH, MAX_BATCHES, Follower
from fwnode.chain.head import Head
from fwnode.chain.headers import FILE_SIZE, HeaderChain
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode
from support import raises, run

_kept = []


def network():
    """One network for all tests of this file, of next to no work."""
    if not _kept:
        _kept.append(Network(difficulty=1))
    return _kept[0]


class Flash:
    """A header chain's file in RAM."""

    def __init__(self):
        self.data = bytearray(FILE_SIZE)

    def readinto(self, offset, buffer):
        buffer[:] = self.data[offset : offset + len(buffer)]

    def write(self, offset, data):
        self.data[offset : offset + len(data)] = data

    def sync(self):
        pass


class Node:
    """Answers like a node's /chain; keeps headers and signed heads alone, to be small."""

    def __init__(self, net):
        self.net = net
        self.links = [net.genesis.link()]
        self.heads = []
        self.checkpoint = None
        self.asked = []

    def grow(self, count, salt=0):
        for _ in range(count):
            parent = self.links[-1]
            time = TIME + 100 + 10 * parent.height + salt
            data = self.net.by_node(parent, [self.net.log(1, r=parent.height)], time=time)
            self.links.append(self.net.link(data, parent))
            self.heads.append(self.net.block(data).announcement())

    def fork(self, height):
        other = Node(self.net)
        other.links = self.links[: height + 1]
        other.heads = self.heads[:height]
        return other

    def get(self, path):
        self.asked.append(path)
        if path == "/chain/checkpoint":
            return self.checkpoint
        name, query = path[len("/chain/") :].split("?")
        first, count = (int(part.split("=")[1]) for part in query.split("&"))
        heads = self.heads[first - 1 : first - 1 + count]
        if name == "heads":
            return encode(heads)
        return b"".join(Head(head, self.net.net).head for head in heads)

    def signed(self, height):
        return run(checkpoint.sign(checkpoint.build(self.net.net, self.links[height]), self.net.net, self.net.node))


def follow(chain, node, get=None):
    """One pass; whether the tip moved."""
    follower = Follower(chain, node.net.authority, None)
    turns = 0
    while follower.path:
        turns += 1
        assert turns < 100
        run(follower.feed((get or node.get)(follower.path)))
    return follower.moved


def test_from_nothing_and_onward():
    net = network()
    node = Node(net)
    node.grow(40)
    chain = HeaderChain(Flash(), net.genesis)
    assert follow(chain, node)
    assert (chain.height, chain.hash) == (40, node.links[-1].hash)
    assert [path.split("?")[0] for path in node.asked] == [
        "/chain/checkpoint", "/chain/headers", "/chain/heads", "/chain/headers", "/chain/heads",
    ]  # fmt: skip
    assert not follow(chain, node)
    node.grow(1)
    assert follow(chain, node) and chain.height == 41 and chain.tip().times == node.links[-1].times


def test_a_fork_near_and_far():
    net = network()
    ours = Node(net)
    ours.grow(30)
    for height in (29, 5, 0):
        chain = HeaderChain(Flash(), net.genesis)
        follow(chain, ours)
        other = ours.fork(height)
        other.grow(33 - height, salt=3)
        assert follow(chain, other), height
        assert (chain.height, chain.hash) == (33, other.links[-1].hash)
        assert not follow(chain, ours)  # less work
        assert chain.height == 33


def test_a_checkpoint_spares_the_headers_below_it():
    net = network()
    node = Node(net)
    node.grow(50)
    node.checkpoint = node.signed(45)
    chain = HeaderChain(Flash(), net.genesis)
    assert follow(chain, node)
    assert (chain.height, chain.base.height) == (50, 45) and len(node.asked) == 3
    node.asked.clear()
    assert not follow(chain, node) and len(node.asked) == 2
    forked = node.fork(40)
    forked.grow(20, salt=5)
    assert raises(ChainError, follow, chain, forked).field == "previous"  # not below the checkpoint
    assert chain.hash == node.links[-1].hash


def test_false_answers():
    net = network()
    node = Node(net)
    node.grow(3)
    node.checkpoint = node.signed(1)
    false = decode(node.checkpoint)
    false["c"] = 9
    wrong = decode(node.heads[2])
    wrong["sig"] = bytes(64)
    for part, answer, kind in (
        ("checkpoint", b"junk", WireError),
        ("checkpoint", encode(false), ChainError),
        ("headers", bytes(87), ChainError),
        ("headers", bytes(176), ChainError),
        ("heads", None, ChainError),
        ("heads", b"le", ChainError),
        ("heads", b"li1ee", ChainError),
        ("heads", encode([encode(wrong)]), ChainError),
        ("heads", encode([b"x" * 88]), ChainError),
        ("heads", b"junk", WireError),
    ):
        chain = HeaderChain(Flash(), net.genesis)

        def get(path, part=part, answer=answer):
            return answer if "/chain/" + part in path else node.get(path)

        raises(kind, follow, chain, node, get)
        assert chain.height in (0, 1), part


def test_a_node_that_never_ends_is_left():
    net = network()
    node = Node(net)
    node.grow(BATCH)
    chain = HeaderChain(Flash(), net.genesis)
    asked = []

    def get(path):  # whatever is asked for: the same full batch
        asked.append(path)
        if "headers" in path:
            return node.get("/chain/headers?from=1&count={}".format(BATCH))
        return node.get("/chain/heads?from={}&count=1".format(BATCH)) if "heads" in path else None

    assert follow(chain, node, get) and chain.height == BATCH
    assert len(asked) == 1 + 2 * MAX_BATCHES
