"""Releases that failed on this board: rolled back, remembered, tried again later or never."""

import fake_esp32
from fwnode.update import UpdateError
from fwnode.update.install import Install
from support import raises
from update_node import DAY, MODEL, Node, filler, new_version, refused

IMAGE, RELEASE = new_version("1.1.0")


def test_failed_check_is_never_tried_again():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    boot = node.boot()
    boot.fail("check")
    boot = node.boot()
    assert boot.place == "ota_0" and boot.version == "1.0.0" and not boot.trial and boot.genuine
    assert boot.outcome == ("rolled_back", "1.1.0", "check")
    assert refused(boot, RELEASE, uptime_s=365 * DAY) == "failed"
    assert node.boot().outcome == ("rolled_back", "1.1.0", "check")  # until it was told
    boot = node.boot()
    boot.told()
    boot = node.boot()
    assert boot.outcome is None
    assert refused(boot, RELEASE, uptime_s=365 * DAY) == "failed"


def test_a_better_release_follows_a_failed_one():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    node.boot().fail("check")
    boot = node.boot()
    good, fixed = new_version("1.1.1", 9)
    node.install(boot, fixed, good)
    boot = node.boot()
    assert boot.trial and boot.version == "1.1.1"
    boot.confirm()
    boot = node.boot()
    assert boot.version == "1.1.1" and refused(boot, RELEASE) == "version"


def test_crash_twice_is_remembered():
    node = Node()
    for count in (1, 2):
        boot = node.boot()
        node.install(boot, RELEASE, IMAGE, uptime_s=DAY)
        assert node.boot().trial  # and crashes
        boot = node.boot()
        assert boot.outcome == ("rolled_back", "1.1.0", "crash")
        assert refused(boot, RELEASE, uptime_s=60) == ("wait" if count == 1 else "failed")
    assert refused(boot, RELEASE, uptime_s=365 * DAY) == "failed"


def test_network_and_power_are_tried_again_after_1_6_24_hours():
    node = Node()
    for reason, hours in (("network", 1), ("power", 6), ("network", 24), ("power", 24)):
        boot = node.boot()
        node.install(boot, RELEASE, IMAGE, uptime_s=25 * 3600)
        boot = node.boot()
        if reason == "network":
            boot.fail(reason)
        else:
            node.power_lost = True
        boot = node.boot()
        assert boot.outcome == ("rolled_back", "1.1.0", reason)
        assert refused(boot, RELEASE, uptime_s=hours * 3600 - 1) == "wait"
    # by the clock: the wait is fixed when the time becomes known, and holds over a boot
    now = 1700000000
    assert refused(boot, RELEASE, now=now, uptime_s=3600) == "wait"
    assert refused(node.boot(), RELEASE, now=now + 23 * 3600 - 1) == "wait"
    assert Install(node.boot(), RELEASE, MODEL, "virtual", now=now + 23 * 3600)


def test_each_failure_starts_its_own_wait_by_the_clock():
    node = Node()
    now = 1700000000
    for hours in (1, 6, 24):
        node.install(node.boot(), RELEASE, IMAGE, now=now)
        node.boot().fail("network")
        boot = node.boot()
        assert refused(boot, RELEASE, now=now + 10) == "wait"
        assert refused(boot, RELEASE, now=now + 9 + hours * 3600) == "wait"
        now += 10 + hours * 3600
    assert Install(boot, RELEASE, MODEL, "virtual", now=now)


def test_a_wrong_clock_does_not_blacklist():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    node.boot().fail("network")
    boot = node.boot()
    assert refused(boot, RELEASE, now=4000000000, uptime_s=10) == "wait"
    assert refused(boot, RELEASE, now=1700000000, uptime_s=10) == "wait"
    assert Install(boot, RELEASE, MODEL, "virtual", now=1700000000 + 3600, uptime_s=20)


def test_boot_loader_cannot_start_it():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    node.board.flash["ota_1"][4400] ^= 1
    boot = node.boot()
    assert boot.place == "ota_0" and boot.outcome == ("rolled_back", "1.1.0", "image")
    assert refused(boot, RELEASE, uptime_s=3599) == "wait"
    node.install(boot, RELEASE, IMAGE, uptime_s=3600)
    assert node.boot().version == "1.1.0"


def test_flash_that_differs_on_trial_is_not_confirmed():
    node = Node()
    node.install(node.boot(), RELEASE, IMAGE)
    node.board.power_on()
    node.board.boot()
    node.board.put_entry(0, 2, fake_esp32.NEW)
    node.board.flash["ota_1"][4400] ^= 1
    broken = fake_esp32.app_image(filler(4500, 8), "1.1.0")
    node.board.burn("ota_1", broken)
    boot = node.boot()
    assert boot.trial and not boot.genuine
    raises(UpdateError, boot.confirm)
    boot.fail("image")
    assert node.boot().outcome == ("rolled_back", "1.1.0", "image")
