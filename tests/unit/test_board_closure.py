"""What of fwnode goes to a board: all that its start leads to, and nothing else."""

from __future__ import annotations

from fwchain import resources
from fwchain.board import closure
from fwchain.board.image import collect

SOURCES = {
    "__init__.py": b"def run(app):\n    from fwnode.startup import main\n",
    "startup.py": b"import fwnode.net.http\nfrom fwnode import clock\n",
    "clock.py": b"",
    "net/__init__.py": b"from fwnode.errors import FwError\n",
    "net/http.py": b"from . import tcp\nfrom .lines import Line\n",
    "net/tcp.py": b"import asyncio\n",
    "net/lines.py": b"",
    "net/unused.py": b"",
    "errors.py": b"",
    "crypto/host.py": b"",
}


def test_absolute_relative_and_late_imports_are_followed() -> None:
    found = set(closure.needed(SOURCES))
    assert found == set(SOURCES) - {"net/unused.py", "crypto/host.py"}


def test_a_board_gets_the_whole_update_and_no_host_code() -> None:
    found = closure.needed(collect(resources.fwnode_folder()))
    for path in ("node.py", "checking.py", "swarm/download.py", "update/install.py", "headers.py", "crypto/pure.py"):
        assert path in found
    assert not set(closure.HOST_ONLY) & set(found)
