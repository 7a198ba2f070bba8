"""Releases of files alone: two power cuts after one another, at pairs of operations chosen by a printed seed."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "both"))

import test_update_foldercut as single
from fwnode.update.files import remove_tree
from update_folder_node import ROOT, FolderNode

PAIRS = 250


def test_two_cuts_at_pairs_of_operations() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    count = single.live(FolderNode(), ())
    for _ in range(PAIRS):
        lazy = chance.random() < 0.5
        cuts = [(chance.randrange(count), chance.randrange(3)), (chance.randrange(count), chance.randrange(3))]
        try:
            single.live(FolderNode(lazy), cuts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, cuts {cuts}, lazy {lazy}: {error}") from error
    remove_tree(ROOT)
