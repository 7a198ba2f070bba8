"""A small network for the chain's tests: keys, trust root, genesis, logs and blocks of little work."""

from fwnode import crypto
from fwnode.chain import block as blocks
from fwnode.chain import genesis as geneses
from fwnode.chain import head
from fwnode.chain.authority import Authority
from fwnode.chain.log import Log
from fwnode.chain.pow import confirm
from fwnode.compat import MICROPYTHON
from fwnode.trust import cert, root
from fwnode.wire import message
from support import run

if MICROPYTHON:
    import gc

    gc.threshold(16384)  # as the node does: the heap stays in one piece

TIME = 1_700_000_000
MODEL = "lamp"
DIFFICULTY = 16


def key(number):
    """A private key that is the same in every run, and its public key."""
    private = crypto.sha256(b"chain test %d" % number)
    return private, crypto.public_key(private)


class Network:
    """One verification node, one vendor, one enrolment key, and boards by number."""

    def __init__(self, certified=True, difficulty=DIFFICULTY):
        self.node, self.node_public = key(1)
        self.vendor, self.vendor_public = key(2)
        self.enrolment, self.enrolment_public = key(3)
        self.owner, self.owner_public = key(4)
        self.root_data = run(root.build(self.root_body(1, []), [self.owner]))
        self.root = root.Root(self.root_data)
        self.genesis = geneses.Genesis(geneses.build("test", self.root.hash, TIME, difficulty, 7, certified))
        self.net = self.genesis.net
        self.authority = Authority(self.root, certified)
        self._boards = {}

    def root_body(self, number, revoked, **changes):
        body = {
            "number": number,
            "expires": TIME + 10**9,
            "root-keys": [self.owner_public],
            "root-threshold": 1,
            "vendor-keys": {MODEL: [self.vendor_public]},
            "vendor-threshold": 1,
            "nodes": [self.node_public],
            "node-threshold": 1,
            "enrolment-keys": [self.enrolment_public],
            "revoked": revoked,
        }
        body.update(changes)
        return body

    def board(self, number, model=MODEL, expires=TIME + 10**8):
        """(private key, public key, certificate) of board `number`."""
        if (number, model) not in self._boards:
            private, public = key(100 + number)
            self._boards[(number, model)] = (
                private,
                public,
                run(cert.issue(self.enrolment, model, public, expires)),
            )
        return self._boards[(number, model)]

    def log(self, number, r=1000, outcome="current", sender="cert", model=MODEL, **changes):
        """The encoded, signed log of board `number` about its own exchange with the verification
        node.
        """
        private, public, certificate = self.board(number, model)
        own = message.node_id(public, r)
        body = message.new("verification_log", self.net, own, b"", r)
        body["req"] = own
        body["res"] = message.key_id(self.node_public)
        body["ts"] = TIME + 10
        body["o"] = outcome.encode()
        body["d"] = model.encode()
        body["v"] = b"1.0.0"
        body["h"] = crypto.sha256(b"firmware 1.0.0")
        body[sender] = certificate if sender == "cert" else public
        body.update(changes)
        return run(message.sign(private, body))

    def confirmation(self, number, asker, answerer, join, r=1000, **changes):
        """The encoded log of board `number` that confirms the join (32 bytes) of `answerer` for
        `asker`.
        """
        public = self.board(number)[1]
        fields = {
            "req": message.node_id(self.board(asker)[1], r),
            "res": message.node_id(self.board(answerer)[1], r),
            "join": join,
            "nonce": run(confirm(join, public, self.genesis.difficulty)),
        }
        fields.update(changes)
        return self.log(number, r, "confirmed", **fields)

    def by_node(self, parent, logs, release=None, time=TIME + 100, root=1):
        """An encoded block of the verification node over encoded logs."""
        opened = [Log(log, self.net) for log in logs]
        field = blocks.verification_field(self.node_public, True, parent, opened, release)
        return run(blocks.make(self.node, {"pu": self.node_public}, self.genesis, parent, time, root, field))

    def by_board(self, number, parent, logs, time=TIME + 100, root=1):
        """An encoded block of a normal node over encoded logs."""
        private, public, certificate = self.board(number)
        field = blocks.verification_field(public, False, parent, [Log(log, self.net) for log in logs])
        return run(blocks.make(private, {"cert": certificate}, self.genesis, parent, time, root, field))

    def block(self, data):
        return blocks.Block(data, self.net)

    def link(self, data, parent):
        """What the next block needs to know of the block `data` on `parent`."""
        block = self.block(data)
        times = (parent.times + [block.header.time])[-11:]
        return head.Link(parent.height + 1, block.hash, block.counter, block.root, times)

    def check(self, data, parent, now=None):
        """Every rule of a block in its branch, as a store applies them."""
        block = self.block(data)
        block.check_parent(parent, self.genesis.difficulty, now)
        block.check_counter(parent, self.authority)
        run(block.check_head(self.authority))
        run(block.check_records(self.authority, self.genesis.difficulty))
        return block
