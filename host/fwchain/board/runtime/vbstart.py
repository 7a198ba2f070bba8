"""From the launcher to the firmware: what ESP32's MicroPython does between reset and main.py.

Its order: mount littlefs as "/", ROMFS as /rom, run boot.py, then main.py (from littlefs, else
from the image).
"""

import builtins
import gc
import sys

import esp32
import micropython
import network
import vbmachine
import vfs
from vb import hw
from vb import state as st

FS_CORRUPT = """
The filesystem appears to be corrupted. If you had important data there, you
may want to make a flash snapshot to try to recover it. Otherwise, perform
factory reprogramming of MicroPython firmware (completely erase flash, followed
by firmware programming).
"""


def mount(rom):
    """Hide the host's files: "/" becomes the board's littlefs, /rom the running image's ROMFS."""
    vfs.umount("/")
    vfs.umount("/vb")
    sys.path[:] = ["", "/rom", "/rom/lib", ".frozen", "/lib"]
    if rom:
        vfs.mount(vfs.VfsRom(hw.nor.mem[rom[0] : rom[0] + rom[1]]), "/rom")
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")
    if not found:
        return True
    device = found[0]
    try:
        vfs.mount(device, "/")
        return True
    except OSError:
        pass
    block = bytearray(4096)
    device.readblocks(0, block)
    if block != b"\xff" * 4096:
        print(FS_CORRUPT)
        return False
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(device, "/")
    with open("/boot.py", "w") as file:
        file.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")
    return True


def execute(path, scope):
    """Run a file of littlefs if it is there; returns 0 absent, 1 done, 2 failed. SystemExit is a
    soft reset.
    """
    try:
        with open(path):
            pass
    except OSError:
        return 0
    return guarded(lambda: builtins.execfile(path, scope))


def guarded(function):
    """Call `function`, which Ctrl-C may interrupt; an exception is printed, as by a real board, and gives 2."""
    try:
        micropython.kbd_intr(3)
        function()
        micropython.kbd_intr(-1)
        return 1
    except SystemExit:
        hw.request(st.REQUEST_SOFT_RESET)
    except BaseException as error:  # noqa: BLE001 as a real board's main loop does
        micropython.kbd_intr(-1)
        sys.print_exception(error, sys.stdout)
    return 2


def in_rom(name):
    """Whether the running image has that file."""
    try:
        open("/rom/" + name).close()
        return True
    except OSError:
        return False


def run(memory, rom, wifi, chip_id, run_main, scope):
    """Called by the launcher's first line; returns the process's exit code."""
    sys.modules["machine"] = sys.modules["umachine"] = vbmachine
    sys.modules["esp32"] = esp32
    sys.modules["network"] = network
    micropython.kbd_intr(-1)
    hw.attach(*memory)
    st.put(hw.state, st.STARTED, 1)
    hw.wifi = wifi
    hw.chip_id = chip_id
    hw.rom = rom
    gc.collect()
    st.put(hw.state, st.HEAP_SHIM, gc.mem_alloc())
    if not mount(rom):
        return 2
    gc.collect()
    outcome = execute("/boot.py", scope)
    if outcome == 2:
        return 1
    if not run_main:
        return 0
    outcome = execute("/main.py", scope)
    if outcome == 0 and (in_rom("main.mpy") or in_rom("main.py")):
        outcome = guarded(lambda: __import__("main"))
    return 1 if outcome == 2 else 0
