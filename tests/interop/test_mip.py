"""`mpremote mip` installs fwnode on a board from device/package.json, as sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fwchain import resources
from fwchain.board import image
from fwchain.board.virtual import VirtualBoard


def test_mip_installs_what_the_board_imports(tmp_path: Path) -> None:
    def mpremote(*args: object) -> str:
        command = [sys.executable, "-m", "mpremote", "connect", board.supervisor.urls[0], *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    with VirtualBoard.create(tmp_path / "board", heap=512 * 1024) as board:
        board.flash_image(0, image.build_image("thermometer", "1.0.0", {"main.py": b""}))
        board.start(serial=True)
        mpremote("mip", "install", "--no-mpy", resources.device_file("package.json"))
        out = mpremote("exec", "import fwnode.wire.bencode as b; print(b.__file__, b.encode({'a': 1}))")
    assert out.split() == ["/lib/fwnode/wire/bencode.py", "b'd1:ai1ee'"]
