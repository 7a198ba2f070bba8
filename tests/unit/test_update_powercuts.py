"""Two power cuts after one another, at every pair of operations, and cuts while a failing release is dealt with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))

from fake_esp32 import PowerCut
from fwnode.update import Refused
from fwnode.update.failures import Failures
from fwnode.update.install import Install
from support import run
from update_cuts import KEY, live, next_cut
from update_node import DAY, MODEL, Node, fill, new_version

IMAGE, RELEASE = new_version("1.1.0", size=1000)
CRASHES = 2


def node(lazy: bool) -> Node:
    return Node(lazy=lazy, size=400)


@pytest.mark.parametrize(("lazy", "phases"), [(False, (0, 1, 2)), (True, (1,))])
def test_two_cuts_at_every_pair_of_operations(lazy: bool, phases: tuple[int, ...]) -> None:
    count = live(node(lazy), RELEASE, IMAGE)
    for first in range(count):
        for phase in phases:
            recovery = live(node(lazy), RELEASE, IMAGE, [(first, phase)])
            for second in range(recovery):
                for again in phases:
                    cuts = [(first, phase), (second, again)]
                    try:
                        live(node(lazy), RELEASE, IMAGE, cuts)
                    except AssertionError as error:
                        raise AssertionError(f"cuts at {cuts}: {error}") from error


def fail_with_cuts(world: Node, reason: str, cuts: list[tuple[int, int]]) -> tuple[int, int]:
    """Let 1.1.0 fail until it is refused for good; returns (trials that failed by themselves, operations)."""
    failed = 0
    lost = False
    world.board.nvs["sk"] = KEY
    next_cut(world, cuts)
    for _ in range(12):
        try:
            boot = world.start(lost)
            lost = False
            if boot.trial:
                failed += 1
                if reason:
                    boot.fail(reason)
                continue
            assert boot.version == "1.0.0"
            assert boot.genuine
            assert boot.keys.record("floor") == {"e": 0, "v": b"1.0.0"}
            boot.told()
            install = Install(boot, RELEASE, MODEL, "virtual", uptime_s=DAY)
            fill(install.storage, IMAGE)
            run(install.finish())
        except PowerCut:
            world.board.power_on()
            lost = True
            next_cut(world, cuts)
        except Refused as error:
            assert error.reason == "failed"
            assert "pending.m" not in world.files
            return failed, world.board.ops
    raise AssertionError("never refused")


@pytest.mark.parametrize("reason", ["", "check"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_cut_is_never_counted_as_the_release_s_fault(reason: str, lazy: bool) -> None:
    need = 1 if reason else CRASHES
    failed, count = fail_with_cuts(node(lazy), reason, [])
    assert failed == need
    for at in range(count):
        for phase in (0, 1, 2):
            failed, _ = fail_with_cuts(node(lazy), reason, [(at, phase)])
            assert need <= failed <= need + 1, (at, phase)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_good_release_is_never_refused_for_cuts(lazy: bool) -> None:
    """Power goes in each of many trials; it is always tried again."""
    world = node(lazy)
    for _ in range(20):
        boot = world.boot()
        boot.told()
        install = Install(boot, RELEASE, MODEL, "virtual", uptime_s=DAY)
        fill(install.storage, IMAGE)
        run(install.finish())
        assert world.boot().trial
        world.power_lost = True
    boot = world.boot()
    assert boot.outcome == ("rolled_back", "1.1.0", "power")
    assert Failures(boot.keys).find(RELEASE.verifier)[3] == 0
