"""MicroPython's `network` module: Wi-Fi whose every access point is the host's loopback interface.

The board's address is its own one in 127.0.0.0/8. Access points: any SSID and key when the board's
folder names none, else those it names. Facts: MicroPython ports/esp32/network_wlan.c,
network_common.c and the library reference.
"""

import struct
import time

import vb.state as _st
from vb import hw as _hw

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
AUTH_OPEN = 0
AUTH_WEP = 1
AUTH_WPA_PSK = 2
AUTH_WPA2_PSK = 3
AUTH_WPA_WPA2_PSK = 4
MODE_11B = 1
MODE_11G = 2
MODE_11N = 4

_CONNECT_MS = 30
_NONE = "0.0.0.0"
_name = "mpy-esp32"


def hostname(name=None):
    """The name for DHCP and mDNS, or set it."""
    global _name
    if name is None:
        return _name
    if len(name) > 32:
        raise ValueError
    _name = name
    return None


def country(code=None):
    """The country code; setting it is ignored."""
    return "XX" if code is None else None


class WLAN:
    """A wireless interface; there is one object for each."""

    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2
    IF_STA = STA_IF
    IF_AP = AP_IF
    SEC_OPEN = AUTH_OPEN
    SEC_WPA2 = AUTH_WPA2_PSK

    _one = {}

    def __new__(cls, interface_id=STA_IF):
        if interface_id not in (STA_IF, AP_IF):
            raise ValueError("invalid WLAN interface identifier")
        if interface_id not in cls._one:
            self = super().__new__(cls)
            self._id = interface_id
            self._active = False
            self._ssid = ""
            self._key = ""
            self._since = None  # ticks of connect()
            self._static = None
            self._config = {"reconnects": -1, "txpower": 20.0, "channel": 1, "pm": 1}
            cls._one[interface_id] = self
        return cls._one[interface_id]

    def __init__(self, interface_id=STA_IF):
        pass

    def active(self, value=None):
        """Whether the interface is up, or bring it up or down."""
        if value is not None:
            self._active = bool(value)
            if not value:
                self._since = None
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        """Begin to connect; OSError when the interface is not active."""
        if self._id != STA_IF:
            raise OSError("STA required")
        if not self._active:
            raise OSError("Wifi Not Started")
        if bssid is not None and len(bssid) != 6:
            raise ValueError
        if ssid is not None:
            self._ssid = ssid if isinstance(ssid, str) else ssid.decode()
            self._key = "" if key is None else key if isinstance(key, str) else key.decode()
        self._since = time.ticks_ms()

    def disconnect(self):
        """Leave the access point."""
        if not self._active:
            raise OSError("Wifi Not Started")
        self._since = None

    def _trouble(self):
        """STAT_* of what keeps the board from connecting, or 0."""
        if st_down():
            return STAT_NO_AP_FOUND
        if _hw.wifi is None:
            return 0
        if self._ssid not in _hw.wifi:
            return STAT_NO_AP_FOUND
        return 0 if _hw.wifi[self._ssid] == self._key else STAT_WRONG_PASSWORD

    def isconnected(self):
        """Connected, with an IP address."""
        if self._id == AP_IF or self._since is None:
            return False
        waited = time.ticks_diff(time.ticks_ms(), self._since)
        return waited >= _CONNECT_MS and not self._trouble()

    def status(self, param=None):
        """STAT_*, or for "rssi" the signal in dBm."""
        if param is None:
            if self._id == AP_IF:
                return None
            if self._since is None:
                return STAT_IDLE
            if self.isconnected():
                return STAT_GOT_IP
            retries = self._config["reconnects"]
            waited = time.ticks_diff(time.ticks_ms(), self._since)
            if retries < 0 or waited < _CONNECT_MS * (retries + 1):
                return STAT_CONNECTING
            return self._trouble() or STAT_CONNECTING
        if param == "rssi":
            if self._id != STA_IF:
                raise OSError("STA required")
            if not self.isconnected():
                raise OSError("Wifi Not Connected")
            return -40
        if param == "stations":
            if self._id != AP_IF:
                raise OSError("AP required")
            return []
        raise ValueError("unknown status param")

    def scan(self):
        """[(ssid, bssid, channel, RSSI, security, hidden)]."""
        if self._id != STA_IF or not self._active:
            raise OSError("STA must be active")
        if st_down():
            return []
        names = ["virtual"] if _hw.wifi is None else sorted(_hw.wifi)
        return [(name.encode(), b"\x02\x00\x00\x00\x00\x01", 1, -40, 3, False) for name in names]

    def _address(self):
        if not self.isconnected():
            return _NONE
        ip = struct.unpack_from("BBBB", _hw.state, _st.IP)
        return "{}.{}.{}.{}".format(*ip)

    def ifconfig(self, config=None):
        """(address, netmask, gateway, DNS server), or set them ("dhcp" to have them given)."""
        if config is None:
            if self._static and self.isconnected():
                return self._static
            address = self._address()
            if address == _NONE:
                return (_NONE, _NONE, _NONE, _NONE)
            return (address, "255.0.0.0", "127.0.0.1", "127.0.0.1")
        if isinstance(config, (tuple, list)):
            if len(config) != 4:
                raise ValueError("requested length 4 but object has length {}".format(len(config)))
            self._static = tuple(config)
        elif config == "dhcp" and self._id == STA_IF:
            self._static = None
        else:
            raise ValueError("invalid arguments")
        return None

    def ipconfig(self, param=None, **kwargs):
        """One of dhcp4, has_dhcp4, addr4, gw4, or set addr4, gw4, dhcp4."""
        if param is None:
            if "addr4" in kwargs:
                address = kwargs["addr4"]
                address = address if isinstance(address, tuple) else (address, "255.255.255.0")
                self._static = (address[0], address[1], _NONE, _NONE)
            elif kwargs.get("dhcp4"):
                self._static = None
            elif not kwargs:
                raise TypeError("Must query one param or set multiple params")
            return None
        if param == "dhcp4":
            return self._static is None
        if param == "has_dhcp4":
            return self._static is None and self.isconnected()
        config = self.ifconfig()
        if param == "addr4":
            return config[0], config[1]
        if param == "gw4":
            return config[2]
        if param == "addr6":
            return []
        raise ValueError("unexpected key")

    def config(self, *args, **kwargs):
        """Read one parameter, or set several by name."""
        if args and kwargs:
            raise TypeError("either pos or kw args are allowed")
        if kwargs:
            for name, value in kwargs.items():
                if name == "mac":
                    if len(value) != 6:
                        raise ValueError("invalid buffer length")
                elif name == "hostname" or name == "dhcp_hostname":
                    hostname(value)
                elif name in ("ssid", "essid", "key", "password", "security", "authmode", "hidden"):
                    if self._id != AP_IF:
                        raise OSError("AP required")
                    self._config[name] = value
                elif name in self._config:
                    if name == "reconnects" and self._id != STA_IF:
                        raise OSError("STA required")
                    self._config[name] = value
                else:
                    raise ValueError("unknown config param")
            return None
        if len(args) != 1:
            raise TypeError("can query only one param")
        name = args[0]
        if name == "mac":
            mac = bytearray(_hw.state[_st.MAC : _st.MAC + 6])
            mac[5] = (mac[5] + self._id) & 0xFF
            return bytes(mac)
        if name in ("ssid", "essid"):
            return self._ssid
        if name in ("hostname", "dhcp_hostname"):
            return hostname()
        if name in self._config:
            return self._config[name]
        raise ValueError("unknown config param")


def st_down():
    """Whether the access points are switched off (a test's or the demo's doing)."""
    return bool(_st.get(_hw.state, _st.WIFI) & _st.WIFI_DOWN)
