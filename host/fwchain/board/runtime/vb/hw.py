"""The board's hardware as its own modules see it: flash, state, partition table. Filled in by
`attach` at boot.
"""

import uctypes

from . import parts
from . import state as st
from .flash import Nor

nor = None
state = None
entries = None
running = None
chip_id = 0
wifi = None
rom = None


def power_off():
    """End the process at once, as a reset does: no exception, no `finally`."""
    uctypes.bytearray_at(0, 4)[0] = 1


def attach(flash, flash_size, state_at, state_size, journal=0, journal_size=0):
    """Map flash and state at their addresses in this process."""
    global nor, state, entries, running
    state = memoryview(uctypes.bytearray_at(state_at, state_size))
    nor = Nor(memoryview(uctypes.bytearray_at(flash, flash_size)), state, power_off)
    if journal:
        nor.journal = memoryview(uctypes.bytearray_at(journal, journal_size))
    entries = parts.read(nor.mem, flash_size)
    at = st.get(state, st.RUNNING)
    for entry in entries:
        if entry[2] == at:
            running = entry


def request(what):
    """Leave word for the supervisor and end."""
    st.put(state, st.REQUEST, what)
    power_off()
