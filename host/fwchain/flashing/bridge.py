"""A pty in front of a port that has only a URL, for tools that open devices alone (ampy)."""

from __future__ import annotations

import os
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from fwchain.flashing.lines import open_port


@contextmanager
def device(port: str) -> Iterator[str]:
    """The name of a device that leads to `port`: the port itself, or a pty while inside."""
    if "://" not in port:
        yield port
        return
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()
    link = open_port(port, timeout=0)
    thread = threading.Thread(target=_carry, args=(master, link, stop), daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join(5)
        link.close()
        os.close(master)
        os.close(slave)


def _carry(master: int, link, stop: threading.Event) -> None:  # type: ignore[no-untyped-def]
    while not stop.is_set():
        readable, _, _ = select.select([master], [], [], 0.005)
        try:
            if readable:
                link.write(os.read(master, 4096))
            came = bytearray()
            while len(came) < 2048 and link.in_waiting:
                came += link.read(2048)  # without a timeout, pyserial's RFC 2217 gives one byte
            if came:
                os.write(master, came)
        except OSError:
            return
