"""A release that is recalled while part of the fleet runs it (design: addition 13)."""

from __future__ import annotations

import json
from pathlib import Path

from update_support import Fleet

from fwchain.demo.processes import fwchain


def test_a_recalled_release_is_installed_nowhere_and_left_for_the_next(tmp_path: Path) -> None:
    """The board that runs it stays on it and says so; the other refuses it, also from a node that offers it again."""
    with Fleet(tmp_path) as fleet:
        first, bad = fleet.release("1.0.0"), fleet.release("1.1.0")
        fleet.publish(first)
        runs, late = fleet.board(first, "runs"), fleet.board(first, "late")
        for board in (runs, late):
            fleet.wait(board, "current")
        late.stop()
        fleet.publish(bad)
        fleet.wait(runs, "updated", version="1.1.0")

        metadata = fleet.folder / "bad.torrent"
        metadata.write_bytes(bad.release.metainfo)
        answer = json.loads(fwchain("release", "recall", metadata, "-n", fleet.network.folder, "--json"))
        assert answer["sent"] == {"model": "thermometer", "version": "1.1.0", "news": True}
        fleet.wait_node("recalled", version="1.1.0")
        fleet.wait(runs, "recalled", version="1.1.0", running=True)
        fleet.wait(runs, "current", version="1.1.0")
        late.start()
        fleet.wait(late, "recalled", version="1.1.0", running=False)
        fleet.wait(late, "current", version="1.0.0")
        shown = json.loads(fwchain("release", "show", metadata, "-n", fleet.network.folder, "--json"))
        assert shown["standing"].startswith("recalled by the vendor")

        fleet.kill_node()
        fleet.serve(stolen=True)
        fleet.wait(late, "refused", version="1.1.0", reason="recalled")

        fleet.kill_node()
        fleet.serve()
        fleet.publish(fleet.release("1.1.1"))
        for board in (runs, late):
            fleet.wait(board, "updated", version="1.1.1")
