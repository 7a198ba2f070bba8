"""Releases of files alone: power cut before, in the middle of and after every operation of two updates."""

from fake_esp32 import PowerCut
from fwnode.update.boot import RUNNING_M
from fwnode.update.files import remove_tree
from update_cuts import next_cut
from update_folder_node import NEXT, NEXT_FOLDER, NEXT_PARTS, PARTS, RELEASE, ROOT, FolderNode, folders
from update_node import DAY


def live(node, cuts):
    """From stock firmware over 1.1.0 to 1.2.0, with cuts; returns the operations since the last cut."""
    lost = False
    cuts = list(cuts)
    next_cut(node, cuts)
    for _ in range(12):
        try:
            boot = node.start(lost)
            lost = False
            assert boot.record is None or boot.genuine
            assert (node.chosen or ROOT) == boot.place or boot.record is None
            if boot.trial:
                boot.confirm()
            boot.told()
            if boot.version == "1.2.0":
                assert boot.keys.get("pend") is None and node.files == {RUNNING_M: NEXT.metainfo}
                assert boot.keys.record("floor") == {"e": 0, "v": b"1.2.0"} and folders() == [NEXT_FOLDER]
                return node.board.ops
            release, parts = (NEXT, NEXT_PARTS) if boot.version == "1.1.0" else (RELEASE, PARTS)
            node.install(boot, release, parts, uptime_s=DAY)
        except PowerCut:
            node.board.power_on()
            lost = True
            next_cut(node, cuts)
    raise AssertionError("not updated")


def every_cut(lazy):
    count = live(FolderNode(lazy), ())
    assert count > 25, count
    for at in range(count):
        for phase in (0, 1, 2):
            try:
                live(FolderNode(lazy), [(at, phase)])
            except AssertionError as error:
                raise AssertionError("cut at {}, phase {}: {}".format(at, phase, error))
    remove_tree(ROOT)


def test_cut_at_every_operation():
    every_cut(False)


def test_cut_at_every_operation_nvs_at_commit():
    every_cut(True)
