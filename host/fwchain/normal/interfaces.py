"""The netmask of this machine's address, which says who is near: an answer to a datagram goes nowhere else."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

LOOPBACK = "255.0.0.0"
USUAL = "255.255.255.0"  # where the system does not say
SIOCGIFADDR = 0x8915  # Linux
SIOCGIFNETMASK = 0x891B


def netmask(ip: str) -> str:
    """The mask of the interface that has the address `ip`."""
    if ip.startswith("127."):
        return LOOPBACK
    if sys.platform == "linux":
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                if _ask(name, SIOCGIFADDR) == ip:
                    return _ask(name, SIOCGIFNETMASK)
    return USUAL


def _ask(name: str, what: int) -> str:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        row = fcntl.ioctl(sock.fileno(), what, struct.pack("256s", name.encode()[:15]))
    return socket.inet_ntoa(row[20:24])
