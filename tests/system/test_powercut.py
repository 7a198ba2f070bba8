"""A sample of the power cuts of `make powercut`; tests/interop has all of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest


@pytest.mark.timeout(240)
def test_sample_of_power_cuts() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    command = [sys.executable, "-m", "fwchain.board.powercut", "--json", "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--sample", "16", "--seconds", "30"], capture_output=True, text=True, timeout=230, check=False
    )
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}"
    report = json.loads(done.stdout)
    assert report["runs"] >= 1 and report["failed"] == 0
    assert report["boots"] >= report["runs"]
