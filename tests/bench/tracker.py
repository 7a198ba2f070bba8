"""Compare the mini tracker with opentracker: announces a CPU second, over HTTP with a connection each and over UDP.

    python tests/bench/tracker.py [--announces N] [--peers N] [--json]

Both serve the same peers from the same addresses in the same run, turn by turn; what counts is the processor time that
the server itself takes (/proc/PID/schedstat). Memory is the server's growth from no peer to all of them.
opentracker is a Debian package that .ci/run installs; where it is absent this says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

HASH = bytes(range(60, 80))
LEAST = {"http": 0.35, "udp": 0.45}
ROUNDS = 3


class Server:
    """A tracker process that is measured."""

    def __init__(self, name: str, process: subprocess.Popen[Any], port: int) -> None:
        self.name = name
        self.process = process
        self.port = port

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def memory(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


def free_port() -> int:
    """A port that is free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextlib.contextmanager
def fwchain(folder: Path) -> Iterator[Server]:
    """The mini tracker as `fwchain tracker`."""
    allow = folder / "allow.txt"
    allow.write_text(HASH.hex() + "\n")
    command = [sys.executable, "-m", "fwchain.cli.app", "tracker", str(allow), "--port", "0", "--json"]
    process = subprocess.Popen([*command, "--rate", "1000000"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server("fwchain", process, json.loads(process.stdout.readline())["port"])
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def opentracker(program: str, folder: Path) -> Iterator[Server]:
    """opentracker, told of the one info-hash where it was built with a white list."""
    port = free_port()
    folder.chmod(0o755)
    allow = folder / "white.txt"
    allow.write_text(HASH.hex() + "\n")
    command = [program, "-i", "127.0.0.1", "-p", str(port), "-P", str(port), "-d", str(folder)]
    help_text = subprocess.run([program, "-h"], capture_output=True, text=True, check=False)
    if "whitelist" in help_text.stderr + help_text.stdout:
        command += ["-w", allow.name]  # it changes its root to the folder
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield Server("opentracker", process, port)
    finally:
        process.terminate()
        process.wait(10)


def addresses(count: int) -> list[str]:
    """Loopback addresses, one a peer."""
    return [f"127.{10 + number // 62500}.{number // 250 % 250}.{1 + number % 250}" for number in range(count)]


def http(server: Server, ips: list[str], announces: int) -> None:
    """Announce over HTTP, a connection each."""
    path = f"/announce?info_hash={quote(HASH)}&peer_id=-XX0001-abcdefghijkl&uploaded=0&downloaded=0&left=1&compact=1"
    for number in range(announces):
        with socket.socket() as sock:
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect
            sock.bind((ips[number % len(ips)], 0))
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(f"GET {path}&port=5000&numwant=50 HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            answer = b""
            while part := sock.recv(4096):
                answer += part
        if b"5:peers" not in answer:
            raise SystemExit(f"{server.name}: {answer[:200]!r}")


def udp(server: Server, ips: list[str], announces: int) -> None:
    """Announce over UDP, a connection ID and a socket for each address, 32 packets on their way."""
    socks = []
    for ip in ips[:200]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ip, 0))
        sock.connect(("127.0.0.1", server.port))
        sock.settimeout(5)
        sock.send(struct.pack(">QII", 0x41727101980, 0, 1))
        socks.append((sock, sock.recv(64)[8:16]))
    tail = struct.pack(">20s20sqqqIIIiH", HASH, b"-XX0001-abcdefghijkl", 0, 1, 0, 0, 0, 0, 50, 5000)
    for start in range(0, announces, 32):
        batch = [socks[number % len(socks)] for number in range(start, min(start + 32, announces))]
        for sock, connection in batch:
            sock.send(connection + struct.pack(">II", 1, 2) + tail)
        for sock, _ in batch:
            if len(sock.recv(4096)) < 20:
                raise SystemExit(f"{server.name}: a short answer")
    for sock, _ in socks:
        sock.close()


def measure(server: Server, kind: str, ips: list[str], announces: int) -> float:
    """Announces a CPU second."""
    before = server.cpu()
    (http if kind == "http" else udp)(server, ips, announces)
    return announces / max(1e-9, server.cpu() - before)


def grow(server: Server, peers: int) -> float:
    """Bytes of memory a peer, for `peers` more of them."""
    before = server.memory()
    http(server, addresses(peers), peers)
    return (server.memory() - before) / peers


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def main() -> int:
    """Measure and print; exit code 1 when a ratio is below what is promised."""
    parser = argparse.ArgumentParser(description="The mini tracker against opentracker, per CPU second.")
    parser.add_argument("--announces", type=int, default=4000)
    parser.add_argument("--peers", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    program = shutil.which("opentracker")
    result: dict[str, Any] = {"peers": options.peers, "numwant": 50}
    ips = addresses(options.peers)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        servers = [stack.enter_context(fwchain(folder))]
        if program:
            servers.append(stack.enter_context(opentracker(program, folder)))
        for server in servers:
            http(server, ips[:50], 50)
            grown = grow(server, 20 * options.peers)
            result[f"{server.name} bytes a peer"] = round(grown)
        for kind in ("http", "udp"):
            rates: dict[str, list[float]] = {server.name: [] for server in servers}
            for _ in range(ROUNDS):
                for server in random.sample(servers, len(servers)):
                    rates[server.name].append(measure(server, kind, ips, options.announces))
            for server in servers:
                result[f"{server.name} {kind} announces a CPU second"] = round(median(rates[server.name]))
            if program:
                result[f"{kind} ratio"] = round(median(rates["fwchain"]) / median(rates["opentracker"]), 3)
                result[f"{kind} least"] = LEAST[kind]
    if not program:
        result["opentracker"] = "absent: no ratio (Debian package opentracker)"
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:44} {value}")
    return int(any(result.get(f"{kind} ratio", 9) < least for kind, least in LEAST.items()))


if __name__ == "__main__":
    sys.exit(main())
