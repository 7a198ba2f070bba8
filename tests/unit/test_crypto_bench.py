"""The benchmark's exchanges are those that the roles play: each public-key operation, in its order."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fwnode import crypto
from fwnode.compat import run
from fwnode.crypto import steps
from fwnode.roles import END, UPDATE, log
from fwnode.roles.identity import Counters, Identity
from fwnode.roles.request import Request
from fwnode.trust.root import Root

TESTS = Path(__file__).parents[1]
R = 1234567


def load(path: str) -> Any:
    """A module of another test folder."""
    name = Path(path).stem + "_of_the_tests"
    spec = importlib.util.spec_from_file_location(name, TESTS / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Recorder:
    """Notes the operations that the request node has done; the verification node's own are not noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, node: bytes) -> None:
        self.node = node
        self.done: list[str] = []
        self.on = False
        for name in ("sign_digest", "verify_digest", "seal", "unseal"):
            monkeypatch.setattr(steps, name, self.noted(name.removesuffix("_digest"), getattr(steps, name)))

    def noted(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: bytes) -> Any:
            if self.on:
                kind = ""
                if name in ("verify", "seal"):
                    kind = ", precomputed" if args[0] == self.node else ", new key"
                elif name == "unseal" and len(args[3]) > 600:
                    kind = ", 1.8 KB"
                self.done.append(name + kind)
            return operation(*args)

        return call

    def run(self, work: Iterator[None]) -> Any:
        self.on = True
        try:
            return run(work)
        finally:
            self.on = False


@pytest.mark.parametrize(
    ("name", "newest", "genuine"),
    [("C1-1, equal", "1.0.0", True), ("C1-1, not equal", "1.0.0", False), ("C1-2", "1.1.0", True)],
)
def test_exchanges(monkeypatch: pytest.MonkeyPatch, name: str, newest: str, genuine: bool) -> None:
    world = load("both/verification_node.py").World()
    world.control({"newest": newest})
    public = crypto.public_key(world.board)
    me = Identity(world.board, public, ("cert", world.certificate), "thermometer", world.exchange.net, 4000)
    measured = world.releases.known[0].verifier if genuine else bytes(32)

    def measure() -> Iterator[None]:
        yield
        return measured

    clock = load("both/world.py").Clock()
    request = Request(me, "1.0.0", Root(world.root), measure, clock, Counters(), 1, R)
    recorder = Recorder(monkeypatch, crypto.public_key(world.node))
    actions = recorder.run(request.begin())
    while actions[0][0] not in (END, UPDATE):
        answer = world.exchange.handle(actions[0][-1], "127.0.0.1")
        actions = recorder.run(request.receive(answer, "here"))
    assert (actions[0][0] == END) == (name == "C1-1, equal"), actions
    outcomes = {END: [log.CURRENT], UPDATE: [log.TAMPERED, log.REPAIRED] if request.repair else [log.UPDATED]}
    for outcome in outcomes[actions[0][0]]:
        recorder.run(log.verification_log(me, R, request.with_node.node, 1, outcome, "1.0.0", measured))
    assert sorted(recorder.done) == sorted(load("bench/crypto.py").EXCHANGES[name])
