"""Power cut at every flash operation of a whole update on a small image, and a sample on one of 1.4 MiB."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def powercut(*arguments: str, timeout: float) -> dict[str, int]:
    """Run `make powercut`'s command; its report."""
    command = [sys.executable, "-m", "fwchain.board.powercut", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.stdout, done.stderr
    report: dict[str, int] = json.loads(done.stdout)
    said = "\n".join(line for line in done.stderr.splitlines() if "cuts survived" not in line)
    assert report["failed"] == 0 and report["runs"], f"{done.stdout}\n{said}"
    return report


@pytest.mark.timeout(1700)
def test_every_operation_of_a_small_image() -> None:
    """A machine too slow for all of them says how far it came; a cut that fails, fails the test either way."""
    report = powercut(timeout=1650)
    if report["not begun for want of time"]:
        pytest.skip("{runs} cuts, none failed; no time for {not begun for want of time} more".format(**report))
    assert report["runs"] > report["operations"]


@pytest.mark.timeout(600)
def test_sample_of_a_full_image() -> None:
    report = powercut("--full", "--sample", "40", "--seconds", "300", timeout=580)
    assert report["image"] > 1.4 * 1024 * 1024 * 0.9
