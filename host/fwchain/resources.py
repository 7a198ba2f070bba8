"""Files that are no Python modules of this package: what runs on a board, the boards' folders, the examples.

In a clone they lie where the repository has them; an installed package carries them in `fwchain/_data`.
"""

from __future__ import annotations

from pathlib import Path

import fwnode
from fwchain.errors import SetupError

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent.parent


def folder(name: str) -> Path:
    """The folder `device`, `boards` or `examples`; raises SetupError when the installation lacks it."""
    for place in (PACKAGE / "_data" / name, REPOSITORY / name):
        if place.is_dir():
            return place
    raise SetupError(f"the folder {name} is not part of this installation: install fwchain anew")


def device_file(name: str) -> Path:
    """A file that stands beside fwnode in the repository's `device` folder, such as main.py."""
    return folder("device") / name


def fwnode_folder() -> Path:
    """The package that runs on boards, as sources."""
    return Path(fwnode.__file__).resolve().parent
