"""Releases of a slot image with path files beside it: otadata is the only switch, the folder follows the slot."""

import os

import fake_esp32
from fwnode.update.files import remove_tree
from fwnode.update.stream import folder_of
from support import run
from update_node import Node, filler, release_of

ROOT = "/tmp/fwchain-slotfiles-{}".format(os.urandom(6).hex())


def parts_of(version, seed):
    image = fake_esp32.app_image(filler(1000, seed), version)
    return [("app.bin", "slot", image), ("page.html", "www/page.html", bytes(filler(300, seed + 1)))]


PARTS = parts_of("1.1.0", 50)
RELEASE = release_of(PARTS, "1.1.0")
FOLDER = folder_of(RELEASE.verifier, ROOT)


def provisioned():
    """A node that runs 1.0.0 with its path file, and the folder of that."""
    node = Node(0x1000, root=ROOT, size=300)
    parts = parts_of("1.0.0", 60)
    first = release_of(parts, "1.0.0")
    node.board.burn("ota_0", parts[0][2])
    node.files["running.m"] = first.metainfo
    folder = folder_of(first.verifier, ROOT)
    remove_tree(ROOT)
    for path in (ROOT, folder, folder + "/www"):
        os.mkdir(path)
    with open(folder + "/www/page.html", "wb") as file:
        file.write(parts[1][2])
    boot = node.boot()
    assert boot.genuine and boot.verifier == first.verifier and boot.place == "ota_0"
    return node, boot, folder


def folders():
    return sorted(ROOT + "/" + name for name in os.listdir(ROOT))


def test_confirmed():
    node, boot, old = provisioned()
    node.install(boot, RELEASE, PARTS)
    assert folders() == sorted([old, FOLDER])
    boot = node.boot()
    assert boot.trial and boot.genuine and boot.place == "ota_1" and boot.stream.folder == FOLDER
    assert folders() == sorted([old, FOLDER])
    boot.confirm()
    assert folders() == [FOLDER]
    assert node.boot().genuine
    remove_tree(ROOT)


def test_rolled_back_with_the_slot():
    node, boot, old = provisioned()
    node.install(boot, RELEASE, PARTS)
    node.boot().fail("check")
    boot = node.boot()
    assert boot.genuine and boot.version == "1.0.0" and boot.stream.folder == old and folders() == [old]
    remove_tree(ROOT)


def test_changed_path_file_is_found_and_repaired():
    node, boot, old = provisioned()
    node.install(boot, RELEASE, PARTS)
    node.boot().confirm()
    with open(FOLDER + "/www/page.html", "r+b") as file:
        file.write(b"!")
    boot = node.boot()
    assert not boot.genuine and boot.version == "1.1.0"
    node.install(boot, RELEASE, PARTS)
    boot = node.boot()
    assert boot.trial and boot.genuine and boot.place == "ota_0"
    boot.confirm()
    assert folders() == [FOLDER] and run(boot.verify())
    remove_tree(ROOT)


def test_cut_while_the_confirmation_is_written():
    """Between `running.m` and `pend` the release on trial is found in the file that has its M by then."""
    node, boot, old = provisioned()
    node.install(boot, RELEASE, PARTS)
    boot = node.boot()
    boot.slots.mark_valid()
    boot.files.rename("pending.m", "running.m")  # and power goes
    boot = node.boot()
    assert boot.genuine and not boot.trial and boot.version == "1.1.0" and boot.keys.get("pend") is None
    remove_tree(ROOT)
