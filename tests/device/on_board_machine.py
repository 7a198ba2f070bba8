"""machine as documented on an ESP32, without what resets the board."""

import machine
import network
from on_board import raises


def test_unique_id_is_the_mac():
    mac = machine.unique_id()
    assert isinstance(mac, bytes) and len(mac) == 6
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    assert wlan.config("mac") == mac


def test_frequency():
    assert machine.freq() in (80000000, 160000000, 240000000)
    machine.freq(240000000)
    assert machine.freq() == 240000000
    machine.freq(160000000)
    raises(ValueError, machine.freq, 100000000)
    raises(ValueError, machine.freq, 1000)


def test_reset_cause_is_one_of_its_constants():
    causes = (machine.PWRON_RESET, machine.HARD_RESET, machine.WDT_RESET)
    causes += (machine.DEEPSLEEP_RESET, machine.SOFT_RESET)
    assert len(set(causes)) == 5
    assert machine.reset_cause() in causes


def test_watchdog_arguments():
    raises(ValueError, machine.WDT, 1)
    raises(ValueError, machine.WDT, timeout=0)


def test_lightsleep_returns():
    machine.lightsleep(10)
    machine.idle()


def test_rtc_memory():
    rtc = machine.RTC()
    rtc.memory(b"some bytes")
    assert machine.RTC().memory() == b"some bytes"
    raises(ValueError, rtc.memory, bytes(3000))
    rtc.memory(b"")
    assert rtc.memory() == b""
