"""What installs fwnode on a board names every module that a board needs, and no other."""

from __future__ import annotations

import ast
import json

from fwchain import resources
from fwchain.board import closure
from fwchain.flashing import package


def test_package_json_is_complete() -> None:
    """After a change of fwnode's files: python -m fwchain.flashing.package"""
    written = json.loads(package.path().read_text())
    assert written == json.loads(package.text())
    for source, target in written["urls"]:
        assert source == target
        assert (resources.folder("device") / source).is_file()


def test_host_only_modules_are_imported_by_none_that_a_board_has() -> None:
    """`fwnode.crypto.host` and its like are behind a check of the interpreter."""
    names = {name.removesuffix(".py").replace("/", ".") for name in closure.HOST_ONLY}
    folder = resources.fwnode_folder()
    for path in sorted(folder.rglob("*.py")):
        if path.relative_to(folder).as_posix() in closure.HOST_ONLY:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.removeprefix("fwnode.") not in names, path


def test_manifest_freezes_the_package_and_its_entry() -> None:
    text = resources.device_file("manifest.py").read_text()
    assert 'package("fwnode"' in text
    assert 'module("main.py"' in text
    assert 'module("boot.py"' in text
