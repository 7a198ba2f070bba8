"""A node that updates itself whatever the power does: shared by the power cut tests."""

from fake_esp32 import PowerCut
from fwnode.update.boot import PENDING_M, RUNNING_M
from fwnode.update.failures import Failures
from fwnode.update.install import Install
from support import run
from update_node import DAY, MODEL, fill

MAX_BOOTS = 8
KEY = b"k" * 32


def live(node, release, image, cuts=()):
    """Boot until `release` runs confirmed, with power cut at each (operation, phase) of `cuts`, one after the other.

    An operation is counted from the start or from the cut before. Returns the number of operations since the last
    cut; asserts that each boot finds a firmware, and that nothing of the state is lost.
    """
    cuts = list(cuts)
    lost = False
    node.board.nvs["sk"] = KEY
    next_cut(node, cuts)
    for _ in range(MAX_BOOTS):
        try:
            boot = node.start(lost)
            lost = False
            assert boot.genuine and boot.version in ("1.0.0", release.version)
            if boot.trial:
                boot.confirm()
            if boot.version == release.version:
                check(node, boot, release)
                return node.board.ops
            install = Install(boot, release, MODEL, "virtual", uptime_s=DAY)
            fill(install.storage, image)
            run(install.finish())
        except PowerCut:
            node.board.power_on()
            lost = True
            next_cut(node, cuts)
    raise AssertionError("not updated after {} boots".format(MAX_BOOTS))


def next_cut(node, cuts):
    """Arm the next cut, if there is one."""
    if cuts:
        node.board.cut(*cuts.pop(0))
    else:
        node.board.cut(None, 0)


def check(node, boot, release):
    """All is as if no power had ever been cut."""
    assert boot.genuine and boot.verifier == release.verifier and not boot.update_only
    assert boot.keys.record("floor") == {"e": 0, "v": release.version.encode()}
    assert boot.keys.record("run")["p"] == boot.place.encode() and boot.keys.get("pend") is None
    assert boot.keys.get("sk") == KEY
    assert Failures(boot.keys).find(release.verifier)[1:] == [0, 0, 0, 0]
    assert node.files == {RUNNING_M: release.metainfo}, sorted(node.files)
    assert PENDING_M not in node.files
