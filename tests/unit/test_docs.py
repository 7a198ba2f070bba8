"""What the documentation names exists: tests, files, messages, the verification node's HTTP face."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from service_world import make_network

from fwchain.events import Log
from fwchain.verification.service import Service
from fwnode.wire.fields import TYPES

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FOLDERS = ("tests/", "device/", "host/", "docs/", "boards/", "examples/")


def quoted(page: Path) -> list[str]:
    """What stands in backquotes, outside blocks of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def test_names() -> set[str]:
    """Every test function there is."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    return found


test_names.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_and_files_that_a_page_names_exist(page: Path) -> None:
    known = test_names()
    for name in quoted(page):
        if re.fullmatch(r"test_\w+", name):
            assert name in known, f"{page.name} names the test {name}"
        elif name.startswith(FOLDERS) and re.fullmatch(r"[\w./*-]+", name):
            pattern = re.sub(r"\b[A-Z]+(?=/)", "*", name.rstrip("/"))  # boards/NAME/…: any of them
            assert list(ROOT.glob(pattern)), f"{page.name} names {name}"


def test_every_protection_names_where_it_is_tested() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) >= 10
    for row in rows:
        assert len(row) == 6 and re.search(r"`(tests/|test_)", row[4]), f"row {row[1]}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_protocol_page_names_every_message() -> None:
    names = set(quoted(ROOT / "docs" / "protocol.md"))
    assert set(TYPES) - {"block"} <= names
    assert not {name for name in names if re.fullmatch(r"(req|res|notice|join)_\w+", name)} - set(TYPES)


def test_protocol_page_lists_the_http_face_whole(tmp_path: Path) -> None:
    service = Service(make_network(tmp_path / "net"), Log(None))
    try:
        places = {str(one.canonical) for one in service._app().router.resources()}
    finally:
        service.seed.stop()
        service.chain.close()
        service.releases.engine.dispose()
    text = (ROOT / "docs" / "protocol.md").read_text()
    named = set(re.findall(r"`(?:POST )?(/[a-z]*)", text[text.index("HTTP face") :]))
    assert {"/" + place.split("/")[1] for place in places} <= named
