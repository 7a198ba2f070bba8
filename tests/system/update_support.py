"""A whole network for the update tests: `fwchain serve` as a process, virtual boards, a vendor; all ends with it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fwchain import network, resources, tls
from fwchain.board.enrol import enrol
from fwchain.board.image import filler
from fwchain.board.virtual import VirtualBoard
from fwchain.chainstore.schema import open_engine
from fwchain.config import Config
from fwchain.demo.processes import Node, free_ports, fwchain
from fwchain.events import Reader
from fwchain.network import Plan
from fwchain.vendor import build, firmware
from fwchain.vendor.publish import publish
from fwchain.verification.releases import ReleaseStore
from fwnode.compat import run
from fwnode.trust import making
from fwnode.trust.release import SLOT, Release

MODEL = "thermometer"
WAIT_S = 60.0
POLL_S = 0.02
DAY_S = 86400
STOLEN_NODE = [sys.executable, str(Path(__file__).with_name("stolen_node.py"))]


class Update:
    """One release: M, and the firmware's bytes."""

    def __init__(self, release: Release, image: bytes) -> None:
        self.release = release
        self.image = image


class Fleet:
    """A network in a folder; use it as a context manager."""

    def __init__(self, folder: Path, confirmations: int = 7, certified: bool = True, **node: Any) -> None:
        """`certified` False: open enrolment; `node` replaces values of the configuration's section [node]."""
        self.folder = folder
        port = free_ports(6)
        section = {"port": port, "publish_port": port + 1, "seed_port": port + 2, "block_s": 0.3, **node}
        self.config = Config(
            {"node": section, "lan": {"port": port + 3}, "board": {"port": port + 4}, "release": {"epoch": 1}}
        )
        self.network = network.create(
            folder / "network",
            Plan(config=self.config, difficulty=2000, confirmations=confirmations, certified=certified),
        )
        self.boards: list[VirtualBoard] = []
        self.node: Node | None = None
        self._events = Reader(self.network.events)
        self._seen: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> Fleet:
        self.serve()
        return self

    def __exit__(self, *_: object) -> None:
        for board in self.boards:
            board.close()
        if self.node:
            self.node.stop()

    # the verification node

    def serve(self, stolen: bool = False) -> None:
        """Start the verification node and wait until it answers; `stolen`: one that offers whatever it has."""
        honest = Node.command
        Node.command = STOLEN_NODE if stolen else honest
        try:
            self.node = Node(self.network.folder, self.folder / "node.log")
        finally:
            Node.command = honest
        self.wait_node("serving")

    def rotate(self, *changes: str, keys: tuple[str, ...] = ("root.pem",)) -> int:
        """Make, sign and publish the next trust root through the command line; returns its number."""
        folder = self.network.folder
        made = json.loads(fwchain("root", "new", "-n", folder, "-o", self.folder / "root", "--json", *changes))
        for key in keys:
            fwchain("root", "sign", self.folder / "root", "-n", folder, "--key", folder / "keys" / key)
        fwchain("root", "publish", self.folder / "root", "-n", folder)
        return int(made["number"])

    def kill_node(self) -> None:
        """End it as a power cut does."""
        assert self.node is not None
        self.node.process.kill()
        self.node.process.wait()

    def wait_node(self, kind: str, timeout: float = WAIT_S, **fields: Any) -> dict[str, Any]:
        """The next event of the verification node with these fields."""

        def more() -> list[dict[str, Any]]:
            assert self.node is not None
            self.node.check()
            return self._events.read()

        return self._wait("node", more, (kind,), timeout, fields)

    # boards

    def board(self, running: Update, name: str = "", heap: int | None = None, **changes: Any) -> VirtualBoard:
        """A board that runs `running`, powered on; it checks twice a second unless `changes` say otherwise. `heap` is
        its size in bytes, the kind's own when None.
        """
        board = VirtualBoard.create(self.folder / (name or f"board-{len(self.boards) + 1}"), heap=heap)
        board.flash_image(0, running.image)
        enrol(board, self.network, running.release, **{"check_s": 0.5, "retry_s": 0.5, **changes})
        self.boards.append(board)
        board.start()
        return board

    def wait(self, board: VirtualBoard, *kinds: str, timeout: float = WAIT_S, **fields: Any) -> dict[str, Any]:
        """The board's next event of one of these kinds and with these fields; an assertion with its console's end when
        it does not come."""
        try:
            return self._wait(board.name, board.events, kinds, timeout, fields)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{board.console()[-3000:]}") from None

    def wait_any(
        self, boards: list[VirtualBoard], kind: str, timeout: float = WAIT_S, **fields: Any
    ) -> tuple[VirtualBoard, dict[str, Any]]:
        """The first of the boards that has an event with these fields, and the event; the others' events stay."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for board in boards:
                waiting = self._seen.setdefault(board.name, [])
                waiting.extend(board.events())
                for event in waiting:
                    if event["event"] == kind and all(event.get(key) == value for key, value in fields.items()):
                        return board, event
            time.sleep(POLL_S)
        consoles = "".join(board.console()[-1500:] for board in boards)
        raise AssertionError(f"no board has an event {kind} {fields} within {timeout} s\n{consoles}")

    def _wait(
        self,
        name: str,
        more: Callable[[], list[dict[str, Any]]],
        kinds: tuple[str, ...],
        timeout: float,
        fields: dict[str, Any],
    ) -> dict[str, Any]:
        waiting = self._seen.setdefault(name, [])
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            waiting.extend(more())
            while waiting:
                event = waiting.pop(0)
                if event["event"] in kinds and all(event.get(key) == value for key, value in fields.items()):
                    return event
            time.sleep(POLL_S)
        raise AssertionError(f"{name}: no event {' or '.join(kinds)} {fields} within {timeout} s")

    # the vendor

    def release(self, version: str, size: int = 0, broken: bool = False, app: str = "", **statement: Any) -> Update:
        """Build and sign a release; `size` bytes of filler, `broken`: its self-test fails, `app`: its application."""
        source = self.folder / f"source-{version}-{len(list(self.folder.iterdir()))}"
        shutil.copytree(resources.folder("examples") / MODEL, source)
        values = json.loads((source / "calibration.json").read_text())
        if size:
            content = filler(f"tests {version}", size)
            (source / "filler.bin").write_bytes(content)
            values["filler"] = hashlib.sha256(content).hexdigest()
        if broken:
            values["offset"] = 400.0
        (source / "calibration.json").write_text(json.dumps(values))
        if app:
            (source / "app.py").write_text(app)
        return self.sign(version, firmware.build(source, MODEL, version), **statement)

    def sign(self, version: str, image: bytes, **statement: Any) -> Update:
        """A signed release of this image."""
        now = int(time.time())
        values = {"issued": now - 5, "expires": now + DAY_S, "epoch": 1, "node_url": self.config.url, **statement}
        metainfo = build.metainfo(build.Statement(MODEL, "virtual", version, **values), [("fw.bin", "slot", image)])
        return Update(Release(run(making.sign(metainfo, self.network.private("vendor")))), image)

    def sign_anything(self, version: str, content: bytes, **statement: Any) -> Update:
        """A signed release of any bytes, also of those that the vendor's tools refuse."""
        now = int(time.time())
        body = {"model": MODEL, "platform": "virtual", "version": version, "issued": now - 5, "expires": now + DAY_S}
        body |= {"epoch": 1, "trackers": [], "web-seeds": [], **statement}
        builder = making.Builder()
        builder.update(content)
        metainfo = builder.finish(body, [("fw.bin", SLOT, len(content))])
        return Update(Release(run(making.sign(metainfo, self.network.private("vendor")))), content)

    def smuggle(self, update: Update) -> None:
        """Put a release into the node's store past every check, as one who broke into it would; it offers it then."""
        self.kill_node()
        place = self.network.releases / update.release.info_hash.hex()
        place.mkdir()
        (place / update.release.name).write_bytes(update.image)
        engine = open_engine(self.network.database)
        ReleaseStore(engine, self.network.releases).add(update.release)
        engine.dispose()
        self.serve(stolen=True)

    def publish(self, update: Update) -> None:
        """Publish over mutual TLS."""
        path = self.folder / "fw.bin"
        path.write_bytes(update.image)
        folder = self.network.folder / "tls"
        context = tls.client(folder / "vendor.crt", self.network.key_files("vendor")[0], folder / "node.crt")
        publish(self.network.publish_url, context, update.release, [path], lambda count: None)

    def rows(self) -> list[dict[str, Any]]:
        """The verification logs in the chain, oldest first."""
        from fwchain.chainstore import Store
        from fwchain.chainstore.show import summaries

        store = Store(self.network.database, self.network.genesis.data, [root.data for root in self.network.roots])
        try:
            return [log for row in summaries(store, 1, 200) for log in row["logs"]]
        finally:
            store.close()
