"""network.WLAN as documented: states, addresses, parameters, errors. SSID and KEY may be set from outside."""

import time

import network
from on_board import raises

SSID = "virtual"
KEY = "password"
NOWHERE = "0.0.0.0"


def station():
    """The station interface, down."""
    wlan = network.WLAN(network.STA_IF)
    wlan.active(False)
    return wlan


def connected():
    """The station interface, connected."""
    wlan = station()
    wlan.active(True)
    wlan.connect(SSID, KEY)
    for _ in range(200):
        if wlan.isconnected():
            return wlan
        time.sleep_ms(50)
    raise AssertionError("no connection: status {}".format(wlan.status()))


def test_one_object_for_each_interface():
    assert network.WLAN() is network.WLAN(network.STA_IF)
    raises(ValueError, network.WLAN, 7)


def test_active():
    wlan = station()
    assert wlan.active() is False and wlan.isconnected() is False
    assert wlan.active(True) is True
    assert wlan.active() is True
    assert wlan.active(False) is False


def test_connect_needs_an_active_interface():
    raises(OSError, station().connect, SSID, KEY)


def test_idle_without_a_connection():
    wlan = station()
    wlan.active(True)
    wlan.disconnect()
    assert wlan.status() == network.STAT_IDLE
    assert wlan.ifconfig()[0] == NOWHERE


def test_connecting():
    wlan = station()
    wlan.active(True)
    wlan.connect(SSID, KEY)
    assert wlan.status() in (network.STAT_CONNECTING, network.STAT_GOT_IP)


def test_connected():
    wlan = connected()
    assert wlan.status() == network.STAT_GOT_IP
    address, netmask, gateway, server = wlan.ifconfig()
    assert NOWHERE not in (address, netmask)
    assert all(len(a.split(".")) == 4 for a in (address, netmask, gateway, server))
    assert wlan.ipconfig("addr4") == (address, netmask)
    assert wlan.ipconfig("dhcp4") is True
    assert wlan.ipconfig("gw4") == gateway
    assert -100 < wlan.status("rssi") < 0
    assert wlan.config("ssid") == SSID
    wlan.disconnect()


def test_rssi_needs_a_connection():
    wlan = station()
    wlan.active(True)
    raises(OSError, wlan.status, "rssi")


def test_unknown_parameters():
    wlan = station()
    wlan.active(True)
    raises(ValueError, wlan.config, "no such")
    raises(ValueError, wlan.status, "no such")
    raises(TypeError, wlan.config, "mac", "ssid")
    raises(ValueError, lambda: wlan.config(nonsense=1))


def test_parameters():
    wlan = station()
    wlan.active(True)
    wlan.config(reconnects=3)
    assert wlan.config("reconnects") == 3
    wlan.config(reconnects=-1)
    assert len(wlan.config("mac")) == 6
    raises(OSError, network.WLAN(network.AP_IF).status, "rssi")


def test_static_address():
    wlan = connected()
    before = wlan.ifconfig()
    raises(ValueError, wlan.ifconfig, "nonsense")
    raises(ValueError, wlan.ifconfig, ("1.2.3.4",))
    wlan.ifconfig("dhcp")
    assert wlan.ifconfig() == before


def test_scan_needs_an_active_interface():
    wlan = station()
    raises(OSError, wlan.scan)
    wlan.active(True)
    assert isinstance(wlan.scan(), list)


def test_hostname():
    network.hostname("a-board")
    assert network.hostname() == "a-board"
