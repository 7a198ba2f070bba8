"""A real verification node's exchange behind HTTP, for the tests of both interpreters (CPython only).

`World` makes a network in memory: trust root, keys, a board's certificate, releases 1.0.0 and 1.1.0. What a test
needs of it goes through a file that the environment variable FWCHAIN_WORLD names.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fwchain.verification.exchange import Exchange
from fwchain.verification.tickets import TicketKeys
from fwnode import crypto
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.trust import cert, making, release, root, version

MODEL = "thermometer"
NET = hashlib.sha256(b"genesis of the tests").digest()[:8]


def make_release(number: str, firmware: bytes, vendor: bytes, **changes: Any) -> bytes:
    """A signed M of one slot image."""
    builder = making.Builder()
    builder.update(firmware)
    now = int(time.time())
    statement: dict[str, Any] = {
        "model": MODEL,
        "platform": "virtual",
        "version": number,
        "trackers": ["http://127.0.0.1:6969/announce"],
        "web-seeds": [],
        "epoch": 1,
        "issued": now - 60,
        "expires": now + 86400,
    }
    statement.update(changes)
    metainfo = builder.finish(statement, [("firmware.bin", release.SLOT, len(firmware))])
    return run(making.sign(metainfo, vendor))


class Releases:
    """What the exchange asks of a release store, in memory."""

    def __init__(self, metainfos: list[bytes]) -> None:
        self.known = [release.Release(metainfo) for metainfo in metainfos]
        self.shown = "1.0.0"

    def newest(self, model: str, public: bytes) -> release.Release | None:
        fit = [one for one in self._shown() if one.model == model]
        return max(fit, key=lambda one: one.version_key, default=None)

    def _shown(self) -> list[release.Release]:
        limit = version.parse(self.shown)
        return [one for one in self.known if one.version_key <= limit]

    def by_version(self, model: str, wanted: str) -> release.Release | None:
        return next((one for one in self._shown() if (one.model, one.version) == (model, wanted)), None)


class World:
    """One network in memory and its verification node on a loopback port."""

    def __init__(self) -> None:
        self.vendor = crypto.generate_key()
        self.node = crypto.generate_key()
        self.other_node = crypto.generate_key()  # of the same trust root; nobody runs it
        self.enrolment = crypto.generate_key()
        self.root_key = crypto.generate_key()
        self.board = crypto.generate_key()
        now = int(time.time())
        self.root = run(
            root.build(
                {
                    "number": 1,
                    "expires": now + 30 * 86400,
                    "root-keys": [crypto.public_key(self.root_key)],
                    "root-threshold": 1,
                    "vendor-keys": {"*": [crypto.public_key(self.vendor)]},
                    "vendor-threshold": 1,
                    "nodes": [crypto.public_key(self.node), crypto.public_key(self.other_node)],
                    "node-threshold": 1,
                    "enrolment-keys": [crypto.public_key(self.enrolment)],
                    "revoked": [],
                },
                [self.root_key],
            )
        )
        public = crypto.public_key(self.board)
        self.certificate = run(cert.issue(self.enrolment, MODEL, public, now + 86400))
        self.firmware = {number: os.urandom(40_000) for number in ("1.0.0", "1.1.0")}
        self.metainfo = {number: make_release(number, data, self.vendor) for number, data in self.firmware.items()}
        self.foreign = make_release("1.1.0", b"toast" * 9000, self.vendor, model="toaster")
        self.releases = Releases(list(self.metainfo.values()))
        self.skew = 0.0
        self.seen: list[dict[str, Any]] = []
        self.logs: list[bytes] = []
        self.exchange = Exchange(
            self.node,
            root.Root(self.root),
            NET,
            "certified",
            TicketKeys(os.urandom(32)),
            self.releases,
            lambda one: [("127.0.0.1", 40000, True), ("127.0.0.2", 40001, False)],
            lambda data, log: self.logs.append(data),
            lambda kind, **fields: self.seen.append({"kind": kind, **fields}),
            lambda: time.time() + self.skew,
        )

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """What a test may change and see: the newest version shown, the clock's skew, events, counters."""
        self.releases.shown = command.get("newest", self.releases.shown)
        self.skew = command.get("skew", self.skew)
        answer = {"seen": list(self.seen), "dropped": dict(self.exchange.counters.by_reason), "logs": len(self.logs)}
        if command.get("forget"):
            self.seen.clear()
            self.exchange.counters.by_reason.clear()
        return answer

    def start(self) -> Path:
        """Serve on a port found now; returns the file that tells a test where and who."""
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = 200, b""
                try:
                    if self.path == "/control":
                        answer = json.dumps(world.control(json.loads(body))).encode()
                    else:
                        answer = world.exchange.handle(body, self.client_address[0])
                except FwError as error:
                    status, answer = 403, str(error).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        facts = {
            "url": f"http://127.0.0.1:{self.server.server_port}",
            "model": MODEL,
            "net": NET.hex(),
            "root": self.root.hex(),
            "board": self.board.hex(),
            "node": self.node.hex(),
            "other_node": self.other_node.hex(),
            "certificate": self.certificate.hex(),
            "foreign": self.foreign.hex(),
            "metainfo": {number: data.hex() for number, data in self.metainfo.items()},
        }
        handle, name = tempfile.mkstemp(prefix="fwchain-world-", suffix=".json")
        with os.fdopen(handle, "w") as file:
            json.dump(facts, file)
        return Path(name)
