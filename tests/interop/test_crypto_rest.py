"""The long remainder for fwnode.crypto: the other AES-128-GCM vectors, and random cases by thousands."""

from __future__ import annotations

import random
from pathlib import Path

import crypto_vectors as cv
from test_crypto_cross import board_made, host_made
from test_crypto_fuzz import hostile_lines


def test_aes_128_gcm_of_any_iv_and_tag(tmp_path: Path) -> None:
    """CAVP AES-128-GCM: IVs of 8 and 1024 bits, tags of 32 to 120: 15,000 vectors."""
    rows = cv.gcm_lines("gcmEncryptExtIV128.rsp", "gcmDecrypt128.rsp")
    lines = [row for usual, row in rows if not usual]
    assert cv.check(tmp_path, lines) == {"gcm_seal": 7500, "gcm_open": 7500}


def test_thousands_of_cases_from_the_host(tmp_path: Path) -> None:
    lines = host_made(800, seed=random.randrange(2**32))
    assert sum(cv.check(tmp_path, lines).values()) == len(lines) >= 6600


def test_thousands_of_cases_from_micropython(tmp_path: Path) -> None:
    assert board_made(tmp_path, 1500) == 1500


def test_thousands_of_hostile_calls(tmp_path: Path) -> None:
    lines = hostile_lines(5000, seed=random.randrange(2**32))
    assert sum(cv.check(tmp_path, lines).values()) == 5000
