"""What the tests of fwnode.update share: releases of fake images, and a node's life on a fake board."""

import gc
import hashlib

import fake_esp32
from fwnode.trust.making import Builder
from fwnode.trust.release import Release
from fwnode.update import Refused
from fwnode.update import boot as boot_module
from fwnode.update.boot import PENDING_M, Boot
from fwnode.update.install import Install
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots
from support import raises, run

MODEL = "thing"
NO_FOLDER = "/nowhere"  # path files are tested apart
DAY = 86400


def release_of(parts, version="1.1.0", model=MODEL, platform="virtual", epoch=0, piece_length=16384):
    """The Release of [(name, target, bytes)]."""
    builder = Builder(piece_length)
    for _, _, data in parts:
        builder.update(data)
    statement = {
        "model": model,
        "platform": platform,
        "version": version,
        "trackers": [],
        "web-seeds": [],
        "epoch": epoch,
        "issued": 1000,
        "expires": 2000,
    }
    return Release(builder.finish(statement, [(name, target, len(data)) for name, target, data in parts]))


def slot_release(image, version="1.1.0", **fields):
    """The Release of one application image."""
    return release_of([("app.bin", "slot", image)], version, **fields)


def filler(size, seed=1):
    """Bytes that do not repeat."""
    out = bytearray(size)
    block = b""
    for at in range(0, size, 32):
        block = hashlib.sha256(block + bytes([seed])).digest()
        out[at : at + 32] = block[: size - at]
    return out


def new_version(version="1.1.0", seed=7, size=4500):
    """(image, its Release): two sectors."""
    image = fake_esp32.app_image(filler(size, seed), version)
    return image, slot_release(image, version)


def refused(boot, release, model=MODEL, platform="virtual", **options):
    """The reason for which `release` is refused; nothing was erased, nothing is left."""
    erases = sum(boot.slots.target.part.owner.erases["ota_0"]) + sum(boot.slots.target.part.owner.erases["ota_1"])
    error = raises(Refused, Install, boot, release, model, platform, **options)
    board = boot.slots.target.part.owner
    assert erases == sum(board.erases["ota_0"]) + sum(board.erases["ota_1"])
    assert boot.files.read(PENDING_M) is None
    return error.reason


boot_module.let_go = lambda: None  # these tests hold the classes that it would load twice; tested in test_update_life


class Node:
    """A board with firmware 1.0.0 in ota_0, confirmed and provisioned; `boot` plays a boot."""

    def __init__(self, slot_size=0x2000, lazy=False, size=4300, root=NO_FOLDER):
        self.board = fake_esp32.Board(slot_size, lazy)
        self.root = root
        self.files = {}
        image, self.first = new_version("1.0.0", 1, size)
        self.board.burn("ota_0", image)
        self.files["running.m"] = self.first.metainfo
        self.power_lost = False

    def boot(self):
        """Boot loader, then `Boot.check`; returns the Boot."""
        gc.collect()
        self.power_lost, lost = False, self.power_lost or not self.board.powered
        self.board.power_on()
        return self.start(lost)

    def start(self, lost=False):
        """As `boot`, with the power left as it is."""
        assert self.board.boot() is not None, "nothing boots"
        boot = Boot(
            Slots(self.board.Partition),
            KeyStore(fake_esp32.NVS(self.board)),
            fake_esp32.Files(self.board, self.files),
            self.root,
            lost,
        )
        run(boot.check())
        return boot

    @staticmethod
    def install(boot, release, parts, **options):
        """Download what is not there yet, sector by sector, and finish."""
        install = Install(boot, release, MODEL, "virtual", **options)
        data = b"".join(part for _, _, part in parts) if isinstance(parts, list) else parts
        fill(install.storage, data)
        run(install.finish())
        return install


_HAVE = bytearray(256)


def fill(storage, data):
    """What a download does: sectors that are right stay."""
    view = memoryview(data)
    for at in range(0, len(data), 4096):
        part = view[at : at + 4096]
        for start in range(0, len(part), 256):
            some = part[start : start + 256]
            have = memoryview(_HAVE)[: len(some)]
            storage.readinto(at + start, have)
            if have != some:
                storage.write(at, part)
                break
