"""What a 32-bit MicroPython without a board lacks of one: modules that fwnode needs, over the files of a virtual board.

No network answers: the node starts, finds nobody, and waits for its next check, which is what is measured.
"""

import asyncio
import builtins
import hashlib
import json
import os
import random
import sys

import host

FLASH = "/flash.bin"
SLOT = (0, 0x10, 0x10000, 0x180000, "ota_0", False)
SECTOR = 4096


class Nothing:
    """A module or class of which little is used."""


class Partition:
    """The running slot of the flash file."""

    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id):
        if id != self.RUNNING:
            raise OSError(2)

    @staticmethod
    def find(type=0, subtype=255, label=None, block_size=SECTOR):
        return []

    def info(self):
        return SLOT

    def readblocks(self, block, buf, offset=0):
        with open(FLASH, "rb") as file:
            file.seek(SLOT[2] + block * SECTOR + offset)
            file.readinto(buf)


class NVS:
    """The values that the board was enrolled with."""

    def __init__(self, namespace):
        with open("/nvs.json") as file:
            self.values = json.load(file)

    def get_blob(self, key, buf):
        if key not in self.values:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        value = bytes.fromhex(self.values[key])
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self.values[key] = value.hex()

    def erase_key(self, key):
        del self.values[key]

    def commit(self):
        pass


class WLAN:
    """A station that is connected."""

    def __init__(self, interface):
        pass

    def active(self, value=None):
        return True

    def isconnected(self):
        return True

    def ifconfig(self):
        return ("10.0.0.2", "255.255.255.0", "10.0.0.1", "10.0.0.1")


class Aes:
    """Never called: nobody is there to seal for."""

    def __init__(self, key, mode):
        raise NotImplementedError


class Sha1:
    """SHA-1, which this port leaves out, by the host."""

    def __init__(self, data=b""):
        self.data = bytes(data)

    def update(self, data):
        self.data += data

    def digest(self):
        return bytes.fromhex(host.sha1(self.data.hex()))


class Socket:
    """A socket of a network in which nobody is."""

    def __init__(self, *kind):
        pass

    def connect(self, address):
        raise OSError(113)

    def sendto(self, data, address):
        return len(data)

    def bind(self, address):
        pass

    def setsockopt(self, *option):
        pass

    def listen(self, backlog):
        pass

    def setblocking(self, flag):
        pass

    def close(self):
        pass


class Waiting:
    """asyncio's queue of tasks that wait for a socket: here they wait for ever."""

    def queue_read(self, stream):
        pass

    queue_write = queue_read


async def no_connection(*args, **kwargs):
    """No network."""
    raise OSError(113)


def module(name, **members):
    """Make a module that can be imported."""
    made = Nothing()
    for key, value in members.items():
        setattr(made, key, value)
    sys.modules[name] = made


ERRNO = {44: 2, 20: 17, 54: 20, 55: 39}  # WebAssembly numbers ENOENT, EEXIST, ENOTDIR, ENOTEMPTY in its own way


def numbered(function):
    """The function, with the numbers that its errors have on a board."""

    def call(*args):
        try:
            return function(*args)
        except OSError as error:
            raise OSError(ERRNO.get(error.args[0], error.args[0])) from None

    return call


def install():
    """Make the modules."""
    builtins.open = numbered(open)
    for name in ("mkdir", "stat", "rename", "remove", "rmdir", "listdir", "ilistdir"):
        setattr(os, name, numbered(getattr(os, name)))
    module("esp32", Partition=Partition, NVS=NVS)
    module("machine", reset=None, reset_cause=lambda: 1, unique_id=lambda: b"\0" * 6)
    module("network", WLAN=WLAN, STA_IF=0)
    module("cryptolib", aes=Aes)
    numbers = {"AF_INET": 2, "SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOL_SOCKET": 1, "SO_REUSEADDR": 2}
    numbers["IP_ADD_MEMBERSHIP"] = 3
    where = lambda host, port, *kind: [(2, 1, 0, "", (host, port))]  # noqa: E731
    module("socket", socket=Socket, getaddrinfo=where, **numbers)
    asyncio.core._io_queue = Waiting()
    module("hashlib", sha1=Sha1, sha256=hashlib.sha256)
    os.urandom = lambda n: bytes(random.getrandbits(8) for _ in range(n))
    asyncio.open_connection = no_connection
    asyncio.StreamReader = Nothing


events = []
running = None  # the node


def on_state(state, facts):
    """The application's hook: what the node does."""
    events.append([state, str(facts)])


def modules():
    """fwnode's modules that are loaded."""
    return sorted(name for name in sys.modules if name.split(".")[0] == "fwnode")


def main(node):
    """The application's other hook: keep the node at hand."""
    global running
    running = node


def drop_buffers():
    """Let the node's buffers go, to see what they take."""
    running.sharing.buffers = running.sharing.seeder.buffers = None


def load_all():
    """Load each of fwnode's modules once and let all go: only their names stay."""
    with open("/modules.json") as file:
        for name in json.load(file):
            __import__(name)
    drop_but(())


def load(names):
    """Load these modules of fwnode, and let go what they load besides."""
    for name in names:
        __import__(name)
    drop_but(names)


def drop_but(names):
    """Let go of all of fwnode's modules but these; what is mounted for imports keeps fwnode itself."""
    for name in modules():
        if name not in names:
            parent, _, last = name.rpartition(".")
            if parent in sys.modules and hasattr(sys.modules[parent], last):
                delattr(sys.modules[parent], last)
            if name != "fwnode":
                del sys.modules[name]
