"""A board on stock firmware whose releases are files alone: `device/boot.py` and real folders, with power cuts."""

import os

import fake_esp32
from fwnode.update import storage, trial
from fwnode.update.files import remove_tree
from fwnode.update.stream import folder_of
from update_node import Node, filler, release_of

ROOT = "/tmp/fwchain-folders-{}".format(os.urandom(6).hex())


def boot_py():
    """The functions of device/boot.py; it is no part of fwnode."""
    for path in ("../../device/boot.py", "device/boot.py"):
        try:
            with open(path) as file:
                source = file.read()
        except OSError:
            continue
        names = {}
        exec(source.replace("from esp32 import NVS", "NVS = None"), names)
        return names
    raise AssertionError("no device/boot.py")


CHOOSE = boot_py()["choose"]


def files_release(version, seed, names=("main.py", "lib/a.mpy")):
    """(parts, Release) of two files of a sector or less."""
    parts = [(name, name, bytes(filler(600 + 100 * i, seed + i))) for i, name in enumerate(names)]
    return parts, release_of(parts, version)


PARTS, RELEASE = files_release("1.1.0", 20)
NEXT_PARTS, NEXT = files_release("1.2.0", 30)
FOLDER = folder_of(RELEASE.verifier, ROOT)
NEXT_FOLDER = folder_of(NEXT.verifier, ROOT)


def folders():
    """The folders that are there."""
    try:
        return sorted(ROOT + "/" + name for name in os.listdir(ROOT))
    except OSError:
        return []


class FolderNode(Node):
    """Nothing but stock firmware and boot.py at first; `chosen` is the folder that boot.py took."""

    def __init__(self, lazy=False):
        super().__init__(0x1000, lazy, 300, ROOT)
        self.files.clear()
        self.chosen = None
        remove_tree(ROOT)
        storage._write = self.write
        trial.remove_tree = self.remove

    def start(self, lost=False):
        assert self.board.boot() == "ota_0"
        self.chosen = CHOOSE(fake_esp32.NVS(self.board), ROOT + "/")
        return super().start(lost)

    def write(self, path, at, buf):
        """A part of a file as one operation; in the middle of it, half."""
        if not path.startswith(ROOT):  # another test's, in the same process
            WRITE(path, at, buf)
            return
        buf = bytes(buf)
        self.board.op(lambda: WRITE(path, at, buf[: len(buf) // 2]), lambda: WRITE(path, at, buf))

    def remove(self, path):
        """A folder as one operation; in the middle of it, one of its files."""
        if not path.startswith(ROOT):
            remove_tree(path)
            return
        self.board.op(lambda: remove_tree(path + "/main.py"), lambda: remove_tree(path))


WRITE = storage._write
