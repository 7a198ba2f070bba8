"""Two network namespaces that a pair of virtual Ethernet devices connects: two machines on one cable, on this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

NETWORK = "198.18.0"  # RFC 2544: for tests of networks, routed nowhere


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def inside(name: str) -> list[str]:
    """What a command begins with that is to run in this namespace."""
    return ["ip", "netns", "exec", name]


def address(number: int) -> str:
    """The address of the machine in namespace `number`."""
    return f"{NETWORK}.{number + 1}"


@contextlib.contextmanager
def two_namespaces() -> Iterator[list[str]]:
    """The names of two connected namespaces; skips the test where this machine allows none."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need iproute2's `ip`, which is not here")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    mark = f"fwc{os.getpid()}"
    names = [f"{mark}a", f"{mark}b"]
    made = []
    try:
        try:
            for name in names:
                _ip("netns", "add", name)
                made.append(name)
            _ip("link", "add", names[0], "netns", names[0], "type", "veth", "peer", "name", names[1], "netns", names[1])
            for number, name in enumerate(names):
                _ip("-n", name, "address", "add", f"{address(number)}/24", "dev", name)
                for device in ("lo", name):
                    _ip("-n", name, "link", "set", device, "up")
                _ip("-n", name, "route", "add", "default", "dev", name)
        except OSError as error:
            pytest.skip(f"this machine allows no network namespaces: {error}")
        yield names
    finally:
        for name in made:
            _ip("netns", "delete", name)
