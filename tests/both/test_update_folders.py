"""Releases of files alone: boot.py, the folder switch, rollback and repair."""

import os

import fake_esp32
from fake_esp32 import PowerCut
from fwnode.update import Refused, StorageError
from fwnode.update.boot import PENDING_M, RUNNING_M
from fwnode.update.failures import Failures
from fwnode.update.files import remove_tree
from fwnode.update.install import Install
from support import raises, run
from update_folder_node import (
    CHOOSE,
    FOLDER,
    NEXT,
    NEXT_FOLDER,
    NEXT_PARTS,
    PARTS,
    RELEASE,
    ROOT,
    FolderNode,
    files_release,
    folders,
)
from update_node import DAY, MODEL, fill, refused, slot_release


def updated(lazy=False):
    """A node that runs 1.1.0 out of its folder, and its Boot."""
    node = FolderNode(lazy)
    node.install(node.boot(), RELEASE, PARTS)
    boot = node.boot()
    assert boot.trial and boot.genuine and node.chosen == FOLDER
    boot.confirm()
    boot = node.boot()
    assert boot.version == "1.1.0" and boot.genuine and not boot.trial and node.chosen == FOLDER
    return node, boot


def test_first_release_on_stock_firmware():
    node = FolderNode()
    boot = node.boot()
    assert node.chosen is None and boot.record is None and not boot.trial and boot.version == "0.0.0"
    node.install(boot, RELEASE, PARTS)
    assert node.board.entries() == [None, None]  # no slot is touched
    boot = node.boot()
    assert node.chosen == FOLDER == boot.place and boot.trial and boot.version == "1.1.0"
    assert boot.stream.size == RELEASE.size and boot.release.info_hash == RELEASE.info_hash
    boot.confirm()
    assert boot.outcome == ("updated", "1.1.0", "") and boot.keys.record("floor")["v"] == b"1.1.0"
    assert node.files == {RUNNING_M: RELEASE.metainfo}
    remove_tree(ROOT)


def test_old_folder_goes_only_after_confirmation():
    node, boot = updated()
    node.install(boot, NEXT, NEXT_PARTS)
    assert folders() == sorted([FOLDER, NEXT_FOLDER])
    boot = node.boot()
    assert node.chosen == NEXT_FOLDER and folders() == sorted([FOLDER, NEXT_FOLDER])
    boot.confirm()
    assert folders() == [NEXT_FOLDER]
    for _ in range(4):
        boot = node.boot()
        assert boot.version == "1.2.0" and boot.genuine and node.chosen == NEXT_FOLDER
    assert refused(boot, RELEASE) == "version"
    remove_tree(ROOT)


def test_failed_check_goes_back_at_once():
    node, boot = updated()
    node.install(boot, NEXT, NEXT_PARTS)
    boot = node.boot()
    boot.fail("check")
    boot = node.boot()
    assert node.chosen == FOLDER and boot.version == "1.1.0" and boot.genuine and not boot.trial
    assert boot.outcome == ("rolled_back", "1.2.0", "check") and folders() == [FOLDER]
    assert refused(boot, NEXT, uptime_s=365 * DAY) == "failed"
    third, release = files_release("1.2.1", 40)
    node.install(boot, release, third)
    boot = node.boot()
    boot.confirm()
    assert node.boot().version == "1.2.1"
    remove_tree(ROOT)


def test_a_trial_has_two_boots():
    node, boot = updated()
    node.install(boot, NEXT, NEXT_PARTS)
    assert node.boot().trial
    assert node.boot().trial
    boot = node.boot()
    assert node.chosen == FOLDER and boot.outcome == ("rolled_back", "1.2.0", "crash")
    assert refused(boot, NEXT, uptime_s=60) == "wait"
    assert Failures(boot.keys).find(NEXT.verifier)[2] == 1
    remove_tree(ROOT)


def test_first_release_fails_and_the_deployed_files_run_again():
    node = FolderNode()
    node.install(node.boot(), RELEASE, PARTS)
    node.boot().fail("network")
    boot = node.boot()
    assert node.chosen is None and boot.record is None
    assert boot.outcome == ("rolled_back", "1.1.0", "network")
    node.install(boot, RELEASE, PARTS, uptime_s=DAY)
    assert node.boot().trial
    remove_tree(ROOT)


def test_changed_file_is_found_and_repaired_in_place():
    node, boot = updated()
    with open(FOLDER + "/lib/a.mpy", "r+b") as file:
        file.seek(50)
        file.write(b"!")
    boot = node.boot()
    assert not boot.genuine and boot.version == "1.1.0" and not boot.update_only
    node.install(boot, RELEASE, PARTS)
    boot = node.boot()
    assert boot.genuine and not boot.trial and node.chosen == FOLDER and node.files == {RUNNING_M: RELEASE.metainfo}
    os.remove(FOLDER + "/main.py")
    assert not run(boot.verify())
    remove_tree(ROOT)


def test_folder_that_is_gone_leaves_the_deployed_files():
    node, _ = updated()
    remove_tree(FOLDER)
    boot = node.boot()
    assert node.chosen is None and not boot.genuine
    node.install(boot, RELEASE, PARTS)
    boot = node.boot()
    assert node.chosen == FOLDER and boot.genuine
    remove_tree(ROOT)


def test_what_an_abandoned_download_left_goes():
    node, boot = updated()
    install = Install(boot, NEXT, MODEL, "virtual")
    install.storage.write(0, NEXT_PARTS[0][2] + NEXT_PARTS[1][2])
    assert folders() == sorted([FOLDER, NEXT_FOLDER])
    third, release = files_release("1.2.1", 40)
    Install(boot, release, MODEL, "virtual")
    assert folders() == [FOLDER]
    remove_tree(ROOT)


def test_stale_abort_is_not_blamed_on_the_next_try():
    node, boot = updated()
    node.install(boot, NEXT, NEXT_PARTS)
    node.boot().fail("network")
    boot = node.boot()
    boot.told()
    install = Install(boot, NEXT, MODEL, "virtual", uptime_s=DAY)
    fill(install.storage, b"".join(part for _, _, part in NEXT_PARTS))
    fold = boot.keys.get("fold")
    raises(PowerCut, lambda: cut_before_the_switch(node, install))
    assert fold[0] == 4 and boot.keys.get("fold")[0] == 2 and boot.keys.record("pend")["s"] == 1
    boot = node.boot()
    assert boot.outcome is None and Failures(boot.keys).find(NEXT.verifier)[1] == 1
    remove_tree(ROOT)


def cut_before_the_switch(node, install):
    """`finish` until its first two NVS entries are written."""
    node.board.cut(1, 2)
    run(install.finish())


def test_read_back():
    node = FolderNode()
    boot = node.boot()
    install = Install(boot, RELEASE, MODEL, "virtual")
    fill(install.storage, b"".join(part for _, _, part in PARTS))
    with open(FOLDER + "/main.py", "r+b") as file:
        file.write(b"!")
    assert "read back" in str(raises(StorageError, install.finish))
    assert node.boot().record is None and node.chosen is None
    remove_tree(ROOT)


def test_refused():
    node = FolderNode()
    boot = node.boot()
    boot.keys.drop("fold")
    assert refused(boot, RELEASE) == "folders"  # no boot.py has run
    node, boot = updated()
    image = fake_esp32.app_image(bytes(100))
    assert refused(boot, slot_release(image, "1.2.0")) == "kind"
    statvfs = os.statvfs
    try:
        os.statvfs = lambda path: (4096, 4096, 10, 4, 4, 0, 0, 0, 0, 255)
        error = raises(Refused, Install, boot, NEXT, MODEL, "virtual")
        assert error.reason == "space"
    except (AttributeError, TypeError):
        pass  # MicroPython's os cannot be changed
    finally:
        if os.statvfs is not statvfs:
            os.statvfs = statvfs
    remove_tree(ROOT)


def test_boot_py_with_nvs_that_fails():
    """A trial that cannot be counted does not run; VALID runs without a write."""
    node = FolderNode()
    nvs = fake_esp32.NVS(node.board)
    os.mkdir(ROOT)
    os.mkdir(FOLDER)

    def broken(*_):
        raise OSError(-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")

    record = RELEASE.verifier[:8] + bytes(8)
    for state, tries, expected in ((0, 2, None), (1, 1, None), (2, 0, FOLDER), (4, 0, None)):
        node.board.nvs["fold"] = bytes([state, tries]) + record
        nvs.set_blob = broken
        assert CHOOSE(nvs, ROOT + "/") == expected, state
    nvs.get_blob = broken
    assert CHOOSE(nvs, ROOT + "/") is None
    assert PENDING_M not in node.files
    remove_tree(ROOT)
