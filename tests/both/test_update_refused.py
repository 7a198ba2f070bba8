"""What is not installed, and that nothing is erased or switched for it."""

import fake_esp32
from fwnode.update import ImageError, Refused, SlotError, StorageError
from fwnode.update.failures import Failures
from fwnode.update.install import Install
from support import raises
from update_node import DAY, MODEL, Node, fill, new_version, refused, slot_release

IMAGE, RELEASE = new_version("1.1.0")


def test_refused_before_the_first_erase():
    node = Node()
    boot = node.boot()
    assert refused(boot, slot_release(IMAGE, model="other")) == "model"
    assert refused(boot, slot_release(IMAGE, platform="esp32")) == "platform"
    assert refused(boot, RELEASE, platform="esp32") == "platform"
    assert refused(boot, slot_release(IMAGE, "0.9.9")) == "version"
    assert refused(boot, node.first) == "same"
    node.board.flash["ota_1"] = bytearray(4096)
    assert refused(boot, slot_release(IMAGE, "1.2.0")) == "size"
    error = raises(Refused, Install, boot, slot_release(IMAGE, "1.2.0"), MODEL, "virtual")
    assert "image of {} bytes, slot of 4096".format(len(IMAGE)) in str(error)


def test_epoch_below_the_floor():
    node = Node()
    boot = node.boot()
    node.install(boot, slot_release(IMAGE, "1.1.0", epoch=3), IMAGE)
    boot = node.boot()
    boot.confirm()
    assert boot.keys.record("floor") == {"e": 3, "v": b"1.1.0"}
    assert refused(boot, slot_release(IMAGE, "1.2.0", epoch=2)) == "epoch"


def test_floor_rises_only_after_confirmation():
    node = Node()
    boot = node.boot()
    node.install(boot, slot_release(IMAGE, "1.1.0", epoch=3), IMAGE)
    boot = node.boot()
    assert boot.keys.record("floor") == {"e": 0, "v": b"1.0.0"}
    boot.fail("network")
    boot = node.boot()
    assert boot.keys.record("floor") == {"e": 0, "v": b"1.0.0"}
    assert Install(boot, slot_release(fake_esp32.app_image(b"x"), "1.0.1"), MODEL, "virtual")


def test_read_back_finds_what_flash_did_not_keep():
    node = Node()
    install = Install(node.boot(), RELEASE, MODEL, "virtual")
    for at in range(0, len(IMAGE), 4096):
        install.storage.write(at, IMAGE[at : at + 4096])
    node.board.flash["ota_1"][4200] ^= 1
    error = raises(StorageError, install.finish)
    assert "read back" in str(error)
    assert node.board.entries() == [None, None] and install.boot.keys.get("pend") is None


def test_set_boot_refused_switches_nothing():
    bad = bytearray(IMAGE)
    bad[-1] ^= 1
    release = slot_release(bytes(bad), "1.1.0")
    node = Node()
    boot = node.boot()
    install = Install(boot, release, MODEL, "virtual")
    for at in range(0, len(bad), 4096):
        install.storage.write(at, bad[at : at + 4096])
    error = raises(SlotError, install.finish)
    assert "set_boot" in str(error)
    assert node.board.entries() == [None, None] and boot.keys.get("pend") is None
    install.reject()
    assert refused(boot, release, uptime_s=365 * DAY) == "failed"


def test_stale_abort_is_not_blamed_on_the_next_release():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    node.boot().fail("check")
    boot = node.boot()
    boot.told()
    good, fixed = new_version("1.1.1", 9)
    install = Install(boot, fixed, MODEL, "virtual")
    for at in range(0, len(good), 4096):
        install.storage.write(at, good[at : at + 4096])
    install.slot.set_boot = None  # power goes just before the switch
    raises(TypeError, install.finish)
    boot = node.boot()
    assert boot.outcome is None and Failures(boot.keys).find(fixed.verifier)[1] == 0


def test_wrong_chip_is_found_before_the_erase():
    image = fake_esp32.app_image(bytes(300), "1.1.0", chip=9)
    node = Node()
    install = Install(node.boot(), slot_release(image, "1.1.0"), MODEL, "virtual")
    assert "chip id: 9, this board has 0" in str(raises(ImageError, install.storage.write, 0, image))
    assert sum(node.board.erases["ota_1"]) == 0


def test_bytes_after_the_image():
    """They would be part of the verifier at the update, and not of what the running slot is measured to be."""
    data = bytes(IMAGE) + b"signature"
    node = Node()
    install = Install(node.boot(), slot_release(data, "1.1.0"), MODEL, "virtual")
    fill(install.storage, data)
    error = raises(ImageError, install.finish)
    assert "image: length: {}, release says {}".format(len(IMAGE), len(data)) in str(error)
    assert node.board.entries() == [None, None]


def test_older_than_what_runs_though_the_floor_is_lost():
    boot = Node().boot()
    boot.keys.drop("floor")
    assert refused(boot, slot_release(IMAGE, "0.9.9")) == "version"


def test_one_slot_only():
    node = Node()
    boot = node.boot()
    del node.board.flash["ota_1"]
    error = raises(SlotError, Install, boot, RELEASE, MODEL, "virtual")
    assert "OTA layout" in str(error)
