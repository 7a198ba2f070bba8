"""One boot of a virtual board, from reset to the end of its process. Started by the supervisor,
never by hand.

    python -m fwchain.board.launcher FOLDER JSON

JSON: {"cause": reset cause, "heap": bytes, "soft": bool (no boot loader), "repl": bool, "main":
bool, "wifi": {ssid: key} or null, "chip_id": int, "rom_log": str}. The process maps the flash,
runs the boot loader over it, then becomes MicroPython. It ends by a reset request in the state
(then by a signal), or with 0 after main.py, 1 after an uncaught exception, 2 when the file system
is damaged, 3 when nothing boots.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from pathlib import Path

from fwchain.board import bootloader
from fwchain.board.flash import Flash
from fwchain.board.runtime.vb import appimage, parts
from fwchain.board.runtime.vb import state as st

RUNTIME_NAME = "runtime.romfs"
JOURNAL_NAME = "journal.bin"  # where it exists, every flash operation is noted in it
NOTHING_BOOTS = 3
RUNTIME_HEAP = 36 * 1024  # what esp32, machine and network take here (36.7 KB, 3 of them the interpreter's own)

START = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(memoryview(uctypes.bytearray_at({runtime}, {runtime_size}))), "/vb")
sys.path.insert(0, "/vb")
import vbstart
_ = vbstart.run({memory}, {rom}, {wifi!r}, {chip_id}, {main}, globals())
del sys.modules["vbstart"], vbstart, uctypes, vfs
"""


def main(arguments: list[str]) -> int:
    """Boot once; returns the exit code of the process."""
    folder, options = Path(arguments[0]), json.loads(arguments[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    die_with_parent()
    flash = Flash(folder / "flash.bin", power_off)
    journal = folder / JOURNAL_NAME
    if journal.exists():
        with open(journal, "r+b") as file:
            flash.nor.journal = memoryview(mmap.mmap(file.fileno(), 0))
    state = flash.state
    st.put(state, st.RESET_CAUSE, options["cause"])
    st.put(state, st.REQUEST, st.REQUEST_NONE)
    if options["cause"] == st.PWRON_RESET:
        st.put(state, st.RTC_MEMORY, 0)
    st.put(state, st.WDT_MS, 0)
    st.put(state, st.FREQ, 160_000_000)
    st.put(state, st.BOOTS, st.get(state, st.BOOTS) + 1)
    if not options.get("soft"):
        try:
            rom_log = options["rom_log"]
            bootloader.BootLoader(flash.nor, write, options["chip_id"], rom_log).run()
        except (bootloader.NoBootableApp, parts.TableError):
            return NOTHING_BOOTS
    rom = find_rom(flash)
    if rom is None and options["main"]:
        write("No ROMFS in this image: it was not built for the platform virtual.\r\n")
        st.put(state, st.REQUEST, st.REQUEST_PANIC)
        return 1
    return micropython(folder, flash, rom, options)


def find_rom(flash: Flash) -> tuple[int, int] | None:
    """(offset, length) of the ROMFS in the slot that was booted."""
    at = st.get(flash.state, st.RUNNING)
    for entry in parts.parse(flash.mem[parts.TABLE_OFFSET : parts.TABLE_OFFSET + parts.TABLE_MAX]):
        if entry[2] == at:
            found = appimage.romfs(flash.mem, at, entry[3])
            return (found[0], found[1]) if found else None
    return None


def micropython(folder: Path, flash: Flash, rom: tuple[int, int] | None, options: dict[str, object]) -> int:
    """Run MicroPython over the mapped flash."""
    import micropython_run

    take_interrupts(micropython_run.__file__)
    with open(folder / RUNTIME_NAME, "rb") as file:
        runtime = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    code = START.format(
        runtime=_address(runtime),
        runtime_size=len(runtime),
        memory=(
            _address(flash.mem),
            flash.size,
            _address(flash.state),
            len(flash.state),
            *((_address(flash.nor.journal), len(flash.nor.journal)) if flash.nor.journal else ()),
        ),
        rom=rom,
        wifi=options["wifi"],
        chip_id=options["chip_id"],
        main=options["main"],
    )
    heap = int(str(options["heap"])) + RUNTIME_HEAP
    arguments = ["micropython", "-X", f"heapsize={heap}"]
    if options["repl"]:
        arguments.append("-i")
    else:
        code += "\nif _: sys.exit(_)\n"
    return int(micropython_run.run_main([*arguments, "-c", code]))


def write(text: str) -> None:
    """Print to the serial port at once."""
    os.write(1, text.encode())


def take_interrupts(library: str) -> None:
    """Let SIGUSR1 mean Ctrl-C. MicroPython's own SIGINT leaves whatever C code runs by a jump, the file system's or the
    collector's too; this one is raised between two bytecodes, as on a chip.
    """
    libc = ctypes.CDLL(None)
    handler = ctypes.cast(ctypes.CDLL(library).mp_sched_keyboard_interrupt, ctypes.c_void_p)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGUSR1, handler)
    libc.siginterrupt(signal.SIGUSR1, 1)  # a sleeping or waiting program wakes


def power_off() -> None:
    """A power cut that strikes in the boot loader."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_with_parent() -> None:
    """A board whose supervisor is gone must not run on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    else:
        _watch_parent()


def _watch_parent() -> None:
    """Where there is no PR_SET_PDEATHSIG: a small process that waits until the parent changes."""
    board, parent = os.getpid(), os.getppid()
    if os.fork() == 0:
        import time

        try:
            while os.getppid() == board:
                os.kill(parent, 0)
                time.sleep(0.5)
        except OSError:
            os.kill(board, signal.SIGKILL)
        os._exit(0)


def _address(buffer: mmap.mmap | memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
