"""MicroPython's `machine` module as an ESP32 has it, as far as firmware updates need it.

Facts: MicroPython ports/esp32/modmachine.c, machine_wdt.c, machine_rtc.c and the library reference.
"""

import struct
import time

import vb.state as _st
from vb import hw as _hw

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
PIN_WAKE = 2
TIMER_WAKE = 4


def reset():
    """Reset the chip: nothing after this runs, no `finally` either."""
    _hw.request(_st.REQUEST_RESET)


def soft_reset():
    """Start MicroPython anew without the boot loader."""
    _hw.request(_st.REQUEST_SOFT_RESET)


def reset_cause():
    """Why the chip started: one of the *_RESET constants."""
    return _st.get(_hw.state, _st.RESET_CAUSE)


def wake_reason():
    """TIMER_WAKE after a deep sleep that ended by itself, else 0."""
    return TIMER_WAKE if reset_cause() == DEEPSLEEP_RESET else 0


def unique_id():
    """The MAC: 6 bytes, no secret."""
    return bytes(_hw.state[_st.MAC : _st.MAC + 6])


def freq(hz=None):
    """The CPU clock in Hz, or set it; here it is remembered and changes nothing."""
    if hz is None:
        return _st.get(_hw.state, _st.FREQ)
    if hz // 1000000 not in (20, 40, 80, 160, 240):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _st.put(_hw.state, _st.FREQ, hz // 1000000 * 1000000)
    return None


def deepsleep(time_ms=0):
    """Sleep, then start as after a reset, with reset_cause() DEEPSLEEP_RESET; 0: until the reset
    button.
    """
    _st.put(_hw.state, _st.SLEEP_MS, time_ms)
    _hw.request(_st.REQUEST_SLEEP)


def lightsleep(time_ms=0):
    """Sleep and go on."""
    time.sleep_ms(time_ms)


sleep = lightsleep


def idle():
    """Give other tasks a moment."""
    time.sleep_ms(0)


def disable_irq():
    """There are no interrupts here."""
    return 0


def enable_irq(state):
    """There are no interrupts here."""


class WDT:
    """The watchdog: resets the board when it is not fed for `timeout` ms. It cannot be stopped."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError
        if timeout < 1000:
            raise ValueError("WDT timeout too short")
        self.feed()
        _st.put(_hw.state, _st.WDT_MS, timeout)

    def feed(self):
        """Begin the period anew."""
        _st.put(_hw.state, _st.WDT_FEEDS, (_st.get(_hw.state, _st.WDT_FEEDS) + 1) & 0xFFFFFFFF)


class RTC:
    """The clock, and the memory that outlives resets and deep sleep (not a power cut)."""

    def memory(self, data=None):
        """The stored bytes, or store at most 2,048."""
        at = _st.RTC_MEMORY
        if data is None:
            length = min(_st.get(_hw.state, at), 2040)
            return bytes(_hw.state[at + 4 : at + 4 + length])
        if len(data) > 2040:
            raise ValueError("buffer too long")
        _hw.state[at + 4 : at + 4 + len(data)] = bytes(data)
        struct.pack_into("<I", _hw.state, at, len(data))
        return None

    def datetime(self, value=None):
        """(year, month, day, weekday, hours, minutes, seconds, subseconds); setting it is ignored."""
        if value is not None:
            return None
        t = time.localtime()
        return t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0
