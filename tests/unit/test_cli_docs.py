"""The documents say what the program does: every key, exit code, command and make target that they name is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from fwchain.cli import app
from fwchain.config import KEYS
from fwchain.errors import EXIT_CODES

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("boards/*/README.md")])


def test_operations_lists_every_key_with_its_default() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    sections = "|".join(KEYS)
    table = dict(re.findall(rf"^\| `((?:{sections})\.\w+)` \| (.*?) \|", text, re.MULTILINE))
    known = {f"{section}.{name}": key.default for section, keys in KEYS.items() for name, key in keys.items()}
    assert set(table) == set(known)
    for name, default in known.items():
        if name != "node.address":
            written = str(default).lower() if isinstance(default, bool) else str(default)
            assert table[name].strip("`") == written, name


def test_operations_lists_every_exit_code() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in text


def test_every_make_target_in_the_documents_is_there() -> None:
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    targets = set(re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE))
    assert {"help", "setup", "demo", "test", "lint", "flash", "hil", "powercut"} <= targets
    for path in DOCUMENTS:
        for name in re.findall(r"(?:`|^)make ([a-z][a-z0-9-]*)", path.read_text(), re.MULTILINE):
            assert name in targets, f"{path.name}: make {name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_command_in_the_documents_is_there(path: Path) -> None:
    text = path.read_text()
    code = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`[^`\n]+`", text)
    for words in re.findall(r"(?:`|^|bin/)fwchain ((?:[a-z]+ ?)+)", "\n".join(code), re.MULTILINE):
        name, *rest = words.split()
        assert name in app.COMMANDS, f"fwchain {name}"
        if rest and name in ("release", "root", "board", "chain"):
            assert rest[0] in app.load(name).commands, f"fwchain {name} {rest[0]}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target
