"""A virtual board on stock firmware, with fwnode deployed as files: its releases are files alone (boot.py's switch)."""

from __future__ import annotations

import time
from pathlib import Path

from update_support import DAY_S, MODEL, Fleet

from fwchain import tls
from fwchain.board import provision
from fwchain.board.enrol import enrol
from fwchain.board.image import build_image
from fwchain.board.virtual import VirtualBoard
from fwchain.flashing import mpy
from fwchain.vendor import build
from fwchain.vendor.publish import publish
from fwnode.compat import run
from fwnode.trust import making
from fwnode.trust.release import Release

HEAP = 288 * 1024  # bytecode from files takes more of the 64-bit port than in a slot, where it runs in place

APP = """
VERSION = {version!r}

def self_test():
    with open(__file__.rsplit("/", 1)[0] + "/page.html") as file:
        return file.read() == {page!r}
"""


def files_release(fleet: Fleet, version: str, page: str, wanted: str | None = None) -> Release:
    """Sign and publish a release of an application and a page; its self-test looks whether the page is `wanted`."""
    app = APP.format(version=version, page=page if wanted is None else wanted).encode()
    files = [("app.py", "app.py", app), ("www/page.html", "page.html", page.encode())]
    now = int(time.time())
    statement = build.Statement(
        MODEL, "virtual", version, issued=now - 5, expires=now + DAY_S, epoch=1, node_url=fleet.config.url
    )
    made = run(making.sign(build.metainfo(statement, files), fleet.network.private("vendor")))
    paths = []
    for name, _, content in files:
        path = fleet.folder / version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    folder = fleet.network.folder / "tls"
    context = tls.client(folder / "vendor.crt", fleet.network.key_files("vendor")[0], folder / "node.crt")
    release = Release(made)
    publish(fleet.network.publish_url, context, release, paths, lambda count: None)
    return release


def stock_board(fleet: Fleet) -> VirtualBoard:
    """A board whose image holds no fwnode; that was deployed, and the board provisioned without a release."""
    board = VirtualBoard.create(fleet.folder / "board", heap=HEAP)
    board.flash_image(0, build_image("micropython", "1.25.0", {"readme.txt": b"stock"}))
    enrol(board, fleet.network, None, model=MODEL, check_s=0.5, retry_s=0.5)
    provision.write_files(board.flash, board.table, {**mpy.library(), **mpy.starters()})
    fleet.boards.append(board)
    board.start()
    return board


def folders(board: VirtualBoard) -> list[str]:
    """The releases' folders on the board, which is off."""
    return sorted({path.split("/")[2] for path in provision.list_files(board.flash, board.table) if "/r/" in path})


def test_files_are_updated_and_rolled_back(tmp_path: Path) -> None:
    """1.1.0 is the first release; 1.2.0 fails its self-test; 1.2.1 is good again."""
    with Fleet(tmp_path) as fleet:
        board = stock_board(fleet)
        fleet.wait(board, "started", version="0.0.0")
        first = files_release(fleet, "1.1.0", "one")
        fleet.wait(board, "installed", version="1.1.0")
        place = "/r/" + first.verifier[:8].hex()
        fleet.wait(board, "started", version="1.1.0", app="1.1.0", slot=place, trial=True)
        fleet.wait(board, "confirmed", version="1.1.0")
        fleet.wait(board, "current", version="1.1.0")
        files_release(fleet, "1.2.0", "two", wanted="three")
        fleet.wait(board, "self-test", version="1.2.0", passed=False)
        fleet.wait(board, "started", version="1.1.0", app="1.1.0", slot=place, trial=False)
        fleet.wait(board, "rolled-back", version="1.2.0", why="check")
        fleet.wait(board, "refused", version="1.2.0", reason="failed")
        last = files_release(fleet, "1.2.1", "four")
        fleet.wait(board, "confirmed", version="1.2.1")
        fleet.wait(board, "current", version="1.2.1")
        board.stop()
        assert folders(board) == [last.verifier[:8].hex()]
