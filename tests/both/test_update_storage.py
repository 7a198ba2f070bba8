"""The release's byte stream over slot and path files, and the small files beside it."""

import os

import fake_esp32
from fwnode.update import ImageError, StorageError
from fwnode.update.files import FileStore, remove_tree
from fwnode.update.slots import Slots
from fwnode.update.storage import Storage
from fwnode.update.stream import Stream, folder_of
from fwnode.update.verify import verifier_steps
from support import raises, run
from update_node import filler, release_of

ROOT = "/tmp/fwchain-test-{}".format(os.urandom(6).hex())
IMAGE = fake_esp32.app_image(filler(4200, 3), "1.1.0")
PARTS = [
    ("app.bin", "slot", IMAGE),
    ("a.py", "lib/deep/a.py", bytes(filler(1500, 4))),
    ("b.txt", "b.txt", b"b"),
    ("c.bin", "c.bin", bytes(filler(1600, 5))),
]
RELEASE = release_of(PARTS)


def stream():
    return b"".join(bytes(part) for _, _, part in PARTS)


def storage():
    board = fake_esp32.Board()
    slots = Slots(board.Partition)
    return Storage(RELEASE, slots.target, ROOT, 0), board


def test_written_in_any_order_and_read_back():
    whole = stream()
    made, board = storage()
    try:
        assert made.size == len(whole) == RELEASE.size
        for at in sorted(range(0, len(whole), 4096), reverse=True):
            made.write(at, memoryview(whole)[at : at + 4096])
        assert run(verifier_steps(made, made.size, bytearray(100))) == RELEASE.verifier
        assert bytes(board.flash["ota_1"][: len(IMAGE)]) == bytes(IMAGE)
        with open(made.folder + "/lib/deep/a.py", "rb") as file:
            assert file.read() == PARTS[1][2]
        assert made.folder == folder_of(RELEASE.verifier, ROOT) and len(made.folder) == len(ROOT) + 17
        read = Stream(RELEASE, Slots(board.Partition).target, ROOT)
        buf = bytearray(777)
        for at in range(0, len(whole) - 777, 500):
            read.readinto(at, buf)
            assert buf == whole[at : at + 777], at
        assert sum(board.erases["ota_1"]) == 2 and board.erases["ota_0"] == [0, 0]
    finally:
        remove_tree(ROOT)


def test_what_was_never_written_reads_as_zeros():
    made, _ = storage()
    buf = bytearray(b"x" * 300)
    made.readinto(len(IMAGE) + 100, buf)
    assert buf == bytes(300)


def test_outside():
    made, _ = storage()
    assert "size" in str(raises(StorageError, made.readinto, made.size - 1, bytearray(2)))
    assert "size" in str(raises(StorageError, made.readinto, -1, bytearray(2)))
    assert "whole sectors" in str(raises(StorageError, made.write, 100, bytes(4096)))
    assert "whole sectors" in str(raises(StorageError, made.write, 4096, bytes(100)))
    assert "size" in str(raises(StorageError, made.write, 8192, bytes(4096)))


def test_first_sector_is_judged_before_the_erase():
    made, board = storage()
    for bad, text in (
        (b"\xff" * 4096, "full flash"),
        (b"\x00" * 4096, "magic"),
        (fake_esp32.app_image(bytes(4096), chip=5)[:4096], "chip id"),
    ):
        assert text in str(raises(ImageError, made.write, 0, bad))
    assert sum(board.erases["ota_1"]) == 0
    made.write(0, IMAGE[:4096])
    assert board.erases["ota_1"] == [1, 0]


def test_flash_refuses():
    made, board = storage()

    def broken(*_):
        raise OSError(-0x102, "ESP_ERR_INVALID_ARG")

    made._slot.part.writeblocks = broken
    made._slot.part.readblocks = broken
    assert "slot ota_1: write at 0x0" in str(raises(StorageError, made.write, 0, IMAGE[:4096]))
    assert "slot ota_1: read at 0x10" in str(raises(StorageError, made.readinto, 16, bytearray(4)))


def test_files():
    files = FileStore(ROOT + "/deep/store")
    try:
        assert files.read("a") is None
        files.write("a", b"one")
        files.write("a", b"two")
        assert files.read("a") == b"two" and os.listdir(ROOT + "/deep/store") == ["a"]
        assert "3 bytes, limit 2" in str(raises(StorageError, files.read, "a", 2))
        files.write("b", b"three")
        files.rename("b", "a")
        files.rename("b", "a")
        assert files.read("a") == b"three" and files.read("b") is None
        with open(ROOT + "/deep/store/a.new", "wb") as file:
            file.write(b"a cut left this")
        files.write("a", b"four")
        assert files.read("a") == b"four"
        files.remove("a")
        files.remove("a")
        assert os.listdir(ROOT + "/deep/store") == []
        os.mkdir(ROOT + "/deep/store/folder")
        assert "folder" in str(raises(StorageError, files.read, "folder"))
        assert "folder" in str(raises(StorageError, files.write, "folder", b"x"))
    finally:
        remove_tree(ROOT)
    assert FileStore(ROOT).read("a") is None
    remove_tree(ROOT)
