"""The world of verification_node.py, as the tests of both interpreters see it."""

import asyncio
import json
import os

from fwnode import crypto
from fwnode.compat import run
from fwnode.net.http import post
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.request import Request
from fwnode.trust.release import Release
from fwnode.trust.root import Root
from fwnode.wire import message


class Clock:
    """n_i's clock as the role needs it."""

    def __init__(self):
        self.time = None

    def now(self):
        return self.time

    def told(self):
        return self.now()

    def learn(self, seconds):
        self.time = max(self.time or 0, seconds)


class World:
    """Keys, documents and the verification node's URL."""

    def __init__(self):
        with open(os.getenv("FWCHAIN_WORLD")) as file:
            facts = json.load(file)
        self.url = facts["url"]
        self.net = bytes.fromhex(facts["net"])
        self.root = Root(bytes.fromhex(facts["root"]))
        self.private = bytes.fromhex(facts["board"])
        self.public = crypto.public_key(self.private)
        self.node = bytes.fromhex(facts["node"])  # the verification node's private key, as a thief would have it
        self.other_node = bytes.fromhex(facts["other_node"])  # of another one in the same trust root
        self.certificate = bytes.fromhex(facts["certificate"])
        self.metainfo = {number: bytes.fromhex(data) for number, data in facts["metainfo"].items()}
        self.foreign = bytes.fromhex(facts["foreign"])  # M of another model, by the same vendor
        self.me = Identity(self.private, self.public, ("cert", self.certificate), facts["model"], self.net, 4000)

    def release(self, number):
        """The release of that version."""
        return Release(self.metainfo[number])

    def send(self, data):
        """What the verification node answers to `data`; raises NetError when it drops it."""
        return asyncio.run(post(self.url + "/fwchain", data, 16384))

    def control(self, **command):
        """Change or see the verification node's world."""
        return json.loads(asyncio.run(post(self.url + "/control", json.dumps(command).encode(), 65536)))

    def dropped(self, data):
        """The reasons for which the verification node dropped `data`."""
        from fwnode.net import NetError

        self.control(forget=True)
        try:
            self.send(data)
        except NetError:
            pass
        else:
            raise AssertionError("the verification node answered")
        return list(self.control()["dropped"])

    def request(self, running="1.0.0", verifier=None, **changes):
        """A fresh exchange of the board that runs `running` with the verifier given (the genuine one by default)."""
        measured = verifier or self.release(running).verifier

        def measure():
            yield
            return measured

        facts = {"asked": 1, "r": 2**63 - 3, "known": None}  # r + k wraps around on the way
        facts.update(changes)
        return Request(
            self.me, running, self.root, measure, Clock(), Counters(), facts["asked"], facts["r"], facts["known"]
        )


_world = []


def get():
    """The one world of this process."""
    if not _world:
        _world.append(World())
    return _world[0]


def step(request, actions, world):
    """Carry out the one send or broadcast in `actions` and give the answer to the request: (answer, its actions)."""
    assert len(actions) == 1, actions
    answer = world.send(actions[0][-1])
    return answer, run(request.receive(answer, world.url))


def opened(private, data):
    """(message, its sealed fields) of `data`."""
    parsed = message.parse(data)
    return parsed, run(message.unseal(private, parsed))
