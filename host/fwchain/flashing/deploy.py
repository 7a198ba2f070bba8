"""`fwchain board deploy`: bring fwnode to a board as a pack of .mpy files; what is there already stays.

What a board has is told by SHA-256 of every file, before and after. So a second time changes
nothing, and a board whose plug was pulled in the middle is repaired by deploying again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fwchain.flashing import boardside, mpy, pack
from fwchain.flashing.errors import FlashingError
from fwchain.flashing.prompt import Prompt
from fwchain.flashing.show import Show

OWN = {
    "/main.py": "call fwnode.run(app) from it",
    "/boot.py": "releases of files alone need what device/boot.py does",
}
BLOCK = 4096  # littlefs gives every file whole blocks


@dataclass(frozen=True)
class Deployed:
    """What was done: paths on the board. `kept` are a maker's own boot.py or main.py."""

    copied: list[str]
    removed: list[str]
    kept: list[str]

    @property
    def changed(self) -> bool:
        """False when everything was there already."""
        return bool(self.copied or self.removed)


def deploy(
    prompt: Prompt, show: Show, files: Mapping[str, bytes] | None = None, mentions: Iterable[bytes] = ()
) -> Deployed:
    """Make the board's files those given (default: fwnode and main.py). Raises FlashingError.

    `mentions` are the sources of the application that comes to the board: what it names in fwnode keeps its name.
    """
    if files is None:
        with show.step("compiling fwnode to .mpy"):
            files = {**mpy.library(mentions), **mpy.starters()}
    with show.step(f"asking {prompt.port} what it has"):
        before = _list(prompt)
    kept = [path for path in before.own if path in files]
    wanted = {path: data for path, data in files.items() if path not in kept}
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in wanted.items()}
    there = before.files
    copy = sorted(path for path, digest in digests.items() if there.get(path) != digest)
    index = f"{mpy.LIBRARY}/{pack.INDEX}"
    stale = [index] if any(path.endswith(".pack") for path in copy) else []  # without it a half-done pack is none
    if stale:
        copy = [*(path for path in copy if path != index), index]
    # A .py beside the .mpy would be loaded in its place, so whatever is not ours goes.
    remove = sorted(p for p in there if p.startswith(mpy.LIBRARY + "/") and p not in wanted)
    for path in kept:
        show.say(f"{path} on the board is your own: it stays ({OWN[path]})")
    done = Deployed(copy, remove, kept)
    if not done.changed:
        show.say(f"nothing to do: all {len(wanted)} files are there already", copied=0, removed=0)
        return done
    needed = sum(-(-len(wanted[path]) // BLOCK) * BLOCK for path in copy)  # what a file replaces goes after it
    if needed > before.free:
        raise FlashingError(
            f"the board's file system has {before.free} bytes free, {needed} are needed: remove files, or flash it anew"
        )
    emptied = [folder for folder in reversed(boardside.parents(remove)) if folder.startswith(mpy.LIBRARY + "/")]
    folders = boardside.parents(copy)
    boardside.call(prompt, boardside.PREPARE, REMOVE=remove + stale, EMPTY=emptied, FOLDERS=folders, timeout=120)
    _copy(prompt, show, {path: wanted[path] for path in copy})
    with show.step("verifying what the board has"):
        after = _list(prompt).files
    wrong = [path for path, digest in digests.items() if after.get(path) != digest]
    if wrong:
        raise FlashingError(f"{wrong[0]} did not arrive whole on {prompt.port} ({len(wrong)} files): deploy again")
    show.say(
        f"deployed: {len(copy)} of {len(wanted)} files copied, {len(remove)} removed "
        f"({boardside.total(wanted)} bytes in all)",
        copied=len(copy),
        removed=len(remove),
    )
    return done


@dataclass(frozen=True)
class _There:
    """What a board has: SHA-256 (hex) of each file, free bytes, a maker's own starters."""

    files: dict[str, str]
    free: int
    own: list[str]


def _list(prompt: Prompt) -> _There:
    starters = [f"/{name}" for name in mpy.STARTERS]
    text = boardside.run(prompt, boardside.LIST, FOLDER=mpy.LIBRARY, STARTERS=starters)
    rows = [line.split(" ", 1) for line in text.splitlines() if " " in line]
    free = [value for word, value in rows if word == "free"]
    if not free or not free[0].isdigit():
        raise FlashingError(f"the board at {prompt.port} gave no whole list of its files: try again")
    return _There(
        {path: word for word, path in rows if len(word) == 64},
        int(free[0]),
        [path for word, path in rows if word == "own"],
    )


def _copy(prompt: Prompt, show: Show, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = []
        for number, (path, data) in enumerate(files.items()):
            local = Path(folder, f"{number}-{path.rpartition('/')[2]}")
            local.write_bytes(data)
            pairs.append((local, path))
        with show.step(f"copying {len(pairs)} files", total=len(pairs)) as progress:
            prompt.put(pairs, lambda count: progress(count))
