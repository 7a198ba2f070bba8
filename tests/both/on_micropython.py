"""Start MicroPython with a ROMFS mapped into its memory, as a board has its firmware in flash (a process of its own).

    python on_micropython.py ROMFS HEAP MODULE

The code runs in place and costs the heap little, so that tests get the heap that they get on a board.
"""

import ctypes
import mmap
import sys
from pathlib import Path

import micropython_run

BOOT = """
import gc, sys, uctypes, vfs
vfs.mount(vfs.VfsRom(memoryview(uctypes.bytearray_at({address}, {size}))), "/testrom")
sys.path.insert(0, "/testrom")
import run_on_micropython
run_on_micropython.run({module!r})
"""


def main() -> None:
    """Map the file, build the start-up line, hand the process over to MicroPython."""
    romfs, heap, module = sys.argv[1:]
    with Path(romfs).open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    boot = BOOT.format(address=address, size=len(mapped), module=module)
    sys.exit(micropython_run.run_main(["micropython", "-X", f"heapsize={heap}", "-c", boot]))


if __name__ == "__main__":
    main()
