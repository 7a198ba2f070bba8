"""Wi-Fi: several networks, tried in turn."""

import asyncio

from fwnode.compat import const, ticks_diff, ticks_ms
from fwnode.net import NetError

_TIMEOUT_MS = const(15000)  # for each network


async def connect(networks: list, timeout_ms: int = _TIMEOUT_MS) -> tuple:
    """Join the first of `networks` ([name, key] each) that takes us; returns our IPv4 address and the subnet's mask,
    raises NetError.

    With no networks given, an interface that is connected already is used.
    """
    import network

    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    if not wlan.isconnected():
        for name, key in networks:
            wlan.connect(name, key)
            if await _joined(wlan, timeout_ms):
                break
            wlan.disconnect()
        else:
            raise NetError("wifi: none of {} can be joined".format([name for name, _ in networks]))
    return wlan.ifconfig()[:2]  # type: ignore[no-any-return]


async def _joined(wlan, timeout_ms: int) -> bool:  # type: ignore[no-untyped-def]
    begun = ticks_ms()
    while ticks_diff(ticks_ms(), begun) < timeout_ms:
        if wlan.isconnected():
            return True
        await asyncio.sleep(0.1)
    return False
