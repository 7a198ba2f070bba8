"""One C2 exchange in memory: n_i, n_j, confirming nodes, each with its own state machine and key."""

from chain_parts import MODEL, TIME, Network
from fwnode.chain import genesis as geneses
from fwnode.chain.authority import Authority
from fwnode.roles.confirming import Confirming
from fwnode.roles.fellows import Fellows
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.request import Request
from fwnode.roles.response import Response
from fwnode.roles.strangers import Replays
from support import run

GENUINE = b"\x11" * 32
FALSE = b"\x22" * 32
R = 2**63 - 2  # r + k wraps around on the way


class Clock:
    """Everybody knows the time."""

    def now(self):
        return TIME + 100

    def told(self):
        return self.now()

    def learn(self, seconds):
        pass


class Own:
    """What n_j runs."""

    def __init__(self, version="1.0.0", verifier=GENUINE, metainfo=b"", info_hash=b""):
        self.version = version
        self.verifier = verifier
        self.metainfo = metainfo
        self.info_hash = info_hash
        self.address = ("127.0.0.2", 4002)


def small_network(confirmations):
    """A network that wants so many confirmations; seven, as the paper has it, cost a test some seconds."""
    network = Network()
    data = geneses.build("test", network.root.hash, TIME, network.genesis.difficulty, confirmations)
    network.genesis = geneses.Genesis(data)
    network.net = network.genesis.net
    return network


class Exchange:
    """The parties of one exchange; boards have numbers: n_i 1, n_j 2, confirming nodes from 3 on."""

    def __init__(self, network=None, running="1.0.0", measured=GENUINE, own=None):
        self.network = network or small_network(2)
        self.genesis = self.network.genesis
        self.clock = Clock()

        def measure():
            yield
            return measured

        self.n_i = Request(self.me(1), running, self.network.root, measure, self.clock, Counters(), 1, R)
        self.fellows = Fellows(self.n_i, self.genesis, self.authority())
        self.n_j = Response(self.me(2), own or Own(), self.genesis, self.authority(), self.clock, Counters())
        self.asked = run(self.n_i.begin())[0][1]

    def authority(self):
        return Authority(self.network.root, True, 32)

    def me(self, number, model=MODEL):
        private, public, certificate = self.network.board(number, model)
        return Identity(private, public, ("cert", certificate), model, self.network.net, 4000 + number)

    def confirming(self, number, verifier=GENUINE, me=None):
        """A confirming node that knows `verifier` for every version."""
        return Confirming(
            me or self.me(number),
            self.genesis,
            self.authority(),
            self.clock,
            Counters(),
            lambda model, version: verifier,
            Replays(),
            lambda public: True,
        )

    def join(self):
        """n_j's join_verification, after its quiet wait."""
        assert self.n_j.consider(self.asked, "n_i", 500)
        return run(self.n_j.elapsed())[0][1]

    def confirmations(self, join, count, first=3):
        """The logs of `count` confirming nodes."""
        return [run(self.confirming(first + n).receive(join))[0][1] for n in range(count)]


class Whole:
    """A C2-2 exchange carried through once; its messages are kept for the tests of its steps."""

    def __init__(self, measured=GENUINE, confirmations=7):
        self.exchange = exchange = Exchange(small_network(confirmations), measured=measured)
        self.join = exchange.join()
        run(exchange.fellows.receive(self.join))
        self.logs = exchange.confirmations(self.join, confirmations)
        self.before = []
        for log in self.logs:
            run(exchange.fellows.receive(log))
            self.before.append(run(exchange.n_j.receive(log)))
        self.res_verchk = self.before[-1][0][2]
        self.req_verification = run(exchange.fellows.receive(self.res_verchk, "n_j"))[0][2]
        self.answer = run(exchange.n_j.receive(self.req_verification))
        self.res_verification = self.answer[0][2]
        self.end = run(exchange.fellows.receive(self.res_verification, "n_j"))
