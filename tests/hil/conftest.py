"""Hardware in the loop: the same tests on a virtual board (the default) and on a board at a port.

    pytest tests/hil --board virtual
    pytest tests/hil --board /dev/ttyUSB0 --address 192.168.1.10 --wifi-ssid home --wifi-key secret

A board at a port must run stock MicroPython 1.25 or later with the OTA layout, or be given it with --firmware. Its
whole flash is read before the first test and written back after the last (--no-restore leaves it). What was not
run is skipped with its reason, and listed at the end; so are the figures that were measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hil_board import Board, Options, open_board

FIGURES: list[tuple[str, object]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's options."""
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption("--board", default="virtual", help="virtual, a real board's port, or its kind: the one found")
    group.addoption("--kind", default="auto", help="kind of the real board: a folder of boards/ (default: asked)")
    group.addoption("--firmware", default="", help="full flash image to begin with (real board)")
    group.addoption("--address", default="", help="this computer's address, as the board sees it")
    group.addoption("--wifi-ssid", default="", help="Wi-Fi name for the board")
    group.addoption("--wifi-key", default="", help="Wi-Fi key for the board")
    group.addoption("--heap", default="192k", help="heap of the virtual board")
    group.addoption("--no-restore", action="store_true", help="do not write the real board's flash back")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A real board, or one behind RFC 2217, takes its time: flash is read and written whole."""
    for item in items:
        item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The board, flashed and with fwnode on it; put back as it was at the end."""
    take = request.config.getoption
    options = Options(
        board=take("--board"),
        kind=take("--kind"),
        firmware=take("--firmware"),
        address=take("--address"),
        wifi=(take("--wifi-ssid"), take("--wifi-key")),
        heap=int(take("--heap").rstrip("k")) * 1024,
        restore=not take("--no-restore"),
    )
    with open_board(options, tmp_path_factory.mktemp("hil")) as opened:
        yield opened


@pytest.fixture
def figure() -> Any:
    """Call with a name and a value: both are listed at the end."""
    return lambda name, value: FIGURES.append((name, value))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Figures, and what was not run."""
    if FIGURES:
        terminalreporter.section("measured on the board")
        for name, value in FIGURES:
            terminalreporter.line(f"{name:48} {value}")
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("not run")
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            terminalreporter.line(f"{report.nodeid.split('::')[-1]:48} {reason.removeprefix('Skipped: ')}")
