"""A release's life on a fake board: installed, on trial, confirmed, rolled back, remembered, repaired."""

import sys

import fake_esp32
from fwnode.update import Refused, let_go
from fwnode.update.boot import PENDING_M, RUNNING_M
from fwnode.update.install import Install
from support import raises, run
from update_node import MODEL, Node, new_version, refused, slot_release

IMAGE, RELEASE = new_version("1.1.0")


def updated():
    """A node that runs 1.1.0, confirmed, and its Boot."""
    node = Node()
    boot = node.boot()
    node.install(boot, RELEASE, IMAGE)
    boot = node.boot()
    boot.confirm()
    return node, boot


def test_provisioned_board_believes_what_it_computes():
    node = Node()
    boot = node.boot()
    assert boot.genuine and not boot.trial and not boot.update_only
    assert (boot.version, boot.verifier, boot.place) == ("1.0.0", node.first.verifier, "ota_0")
    assert boot.release.info_hash == node.first.info_hash
    assert boot.keys.record("floor") == {"e": 0, "v": b"1.0.0"}
    assert boot.keys.record("run")["h"] == node.first.verifier


def test_board_without_any_record():
    node = Node()
    del node.files["running.m"]
    boot = node.boot()
    assert not boot.genuine and boot.record is None and not boot.update_only
    assert boot.version == "0.0.0" and boot.verifier == node.first.verifier
    node.install(boot, RELEASE, IMAGE)
    assert node.boot().version == "1.1.0"


def test_update_confirm_floor():
    node = Node()
    boot = node.boot()
    node.install(boot, RELEASE, IMAGE)
    assert node.board.entries()[0] == (2, fake_esp32.NEW)
    assert node.files[PENDING_M] == RELEASE.metainfo
    boot = node.boot()
    assert boot.trial and boot.genuine and boot.place == "ota_1" and boot.version == "1.1.0"
    assert boot.keys.record("floor")["v"] == b"1.0.0"
    boot.confirm()
    assert not boot.trial and boot.outcome == ("updated", "1.1.0", "")
    assert boot.keys.record("floor")["v"] == b"1.1.0"
    assert boot.keys.record("old")["h"] == node.first.verifier
    assert node.files == {RUNNING_M: RELEASE.metainfo}
    boot = node.boot()
    assert not boot.trial and boot.genuine and boot.version == "1.1.0" and boot.outcome is None
    assert boot.keys.get("pend") is None


def test_the_same_bytes_under_a_higher_version_are_an_update():
    """A vendor who goes back releases the old bytes anew."""
    image, first = new_version("1.0.0", 1, 4300)
    node = Node()
    assert first.verifier == node.first.verifier
    node.install(node.boot(), slot_release(image, "1.0.5"), image)
    boot = node.boot()
    assert boot.trial and boot.genuine and (boot.place, boot.version) == ("ota_1", "1.0.5")
    boot.confirm()
    boot = node.boot()
    assert not boot.trial and boot.genuine and (boot.place, boot.version) == ("ota_1", "1.0.5")


def test_cut_after_the_confirmation():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    boot = node.boot()
    boot.slots.mark_valid()  # and power goes
    boot = node.boot()
    assert not boot.trial and boot.outcome == ("updated", "1.1.0", "")
    assert boot.keys.record("floor")["v"] == b"1.1.0" and boot.keys.get("pend") is None


def test_each_sector_is_erased_once():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    assert node.board.erases["ota_1"] == [1, 1]


def test_no_update_while_on_trial():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    boot = node.boot()
    error = raises(Refused, Install, boot, slot_release(IMAGE, "1.2.0"), MODEL, "virtual")
    assert error.reason == "trial"


def test_tampered_slot_is_found_and_repaired():
    node, boot = updated()
    node.board.flash["ota_1"][4100] ^= 4
    assert not run(boot.verify()) and not boot.genuine and boot.version == "1.1.0"
    assert not boot.update_only
    node.install(boot, RELEASE, IMAGE)  # the same version anew, into the other slot
    boot = node.boot()
    assert boot.place == "ota_0" and boot.trial and boot.genuine
    boot.confirm()
    boot = node.boot()
    assert boot.genuine and boot.version == "1.1.0" and boot.keys.record("run")["p"] == b"ota_0"


def test_fallback_below_the_floor_takes_updates_only():
    node, boot = updated()
    node.board.flash["ota_1"][4100] ^= 4  # the boot loader finds it and takes ota_0
    boot = node.boot()
    assert boot.place == "ota_0" and boot.version == "1.0.0" and boot.genuine and boot.update_only
    assert refused(boot, node.first) == "version"
    node.install(boot, RELEASE, IMAGE)
    boot = node.boot()
    boot.confirm()
    assert boot.version == "1.1.0" and not boot.update_only


def test_unknown_firmware_under_a_floor_takes_updates_only():
    node, boot = updated()
    other = fake_esp32.app_image(b"flashed by cable", "9.9.9")
    for name in ("ota_0", "ota_1"):
        node.board.burn(name, other)
    for name in ("run", "old"):
        boot.keys.drop(name)
    del node.files[RUNNING_M]
    boot = node.boot()
    assert boot.record is None and boot.update_only and boot.version == "0.0.0"


def test_provisioning_anew_is_believed_when_the_verifier_agrees():
    node, boot = updated()
    newer = fake_esp32.app_image(b"flashed by cable", "1.2.0")
    node.board.burn("ota_1", newer)
    node.files[RUNNING_M] = slot_release(newer, "1.2.0").metainfo
    boot = node.boot()
    assert boot.genuine and boot.version == "1.2.0"
    older = fake_esp32.app_image(b"flashed by cable", "1.0.5")
    node.board.burn("ota_1", older)
    node.files[RUNNING_M] = slot_release(older, "1.0.5").metainfo
    boot = node.boot()
    assert not boot.genuine and boot.version == "1.2.0"


def test_rare_modules_are_let_go_on_a_board():
    node = Node()
    boot = node.boot()
    assert "fwnode.update.trial" in sys.modules
    let_go()
    gone = sys.implementation.name == "micropython"
    assert ("fwnode.update.trial" not in sys.modules) == gone
    assert ("fwnode.update.boot" in sys.modules) and hasattr(sys.modules["fwnode.update"], "trial") != gone
    boot.told()  # loads it again
    assert "fwnode.update.trial" in sys.modules and node.boot().genuine
