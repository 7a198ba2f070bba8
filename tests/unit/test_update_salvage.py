"""A repair fetches no more than what is damaged."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))

import fake_esp32
from fwnode.update.install import Install
from support import run
from update_node import MODEL, Node, fill, filler, slot_release


def test_repair_copies_what_is_still_right() -> None:
    image = fake_esp32.app_image(filler(0x4200), "1.1.0")
    release = slot_release(image, "1.1.0")  # two pieces of 16 KiB
    node = Node(0x5000)
    node.board.burn("ota_0", image)
    node.files["running.m"] = release.metainfo
    boot = node.boot()
    assert boot.version == "1.1.0" and release.piece_count == 2
    node.board.flash["ota_0"][0x4100] ^= 1
    assert not run(boot.verify())
    install = Install(boot, release, MODEL, "virtual")
    assert install.place == "ota_1"
    assert run(install.salvage()) == 1
    assert memoryview(node.board.flash["ota_1"])[:0x4000] == memoryview(image)[:0x4000]
    assert node.board.erases["ota_1"] == [1, 1, 1, 1, 0]
    assert run(install.salvage()) == 0  # a second time writes nothing
    fill(install.storage, image)
    assert node.board.erases["ota_1"] == [1, 1, 1, 1, 1]
    run(install.finish())
    assert node.boot().trial
