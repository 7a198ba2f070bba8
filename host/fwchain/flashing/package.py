"""device/package.json, from which `mip` installs fwnode on a board: `python -m fwchain.flashing.package` writes it.

Format: MicroPython's "Package management", package.json; the places are relative to the file.
"""

from __future__ import annotations

import json
from pathlib import Path

from fwchain import __version__, resources
from fwchain.board import closure
from fwchain.board.image import collect

NAME = "package.json"


def text() -> str:
    """The file's content for fwnode as it is."""
    names = closure.needed(collect(resources.fwnode_folder()))
    urls = [[f"fwnode/{name}", f"fwnode/{name}"] for name in names]
    rows = ",\n".join(f"    {json.dumps(url)}" for url in urls)
    return f'{{\n  "urls": [\n{rows}\n  ],\n  "version": "{__version__}"\n}}\n'


def path() -> Path:
    """Where it lies."""
    return resources.device_file(NAME)


def main() -> None:
    """Write it."""
    path().write_text(text())
    print(path())


if __name__ == "__main__":
    main()
