"""A board's traceback with fwnode's own names in the place of the short ones (fwchain.board.compact)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwchain.board import compact
from fwchain.board.compact import Compact

PLACE = re.compile(r'File "(fwnode[\w.]*)", line \d+, in (\S+)')
WORDS = re.compile(r"(\W+)")  # of what the error says: 'L1' object has no attribute 'g2'


def readable(lines: Iterable[str], mentions: Iterable[bytes] = ()) -> Iterator[str]:
    """`lines` of a board's console; `mentions` are the sources of the application in its firmware."""
    sources = compact.sources()
    names = Compact(sources, mentions)
    files = {compact.module_name(path): path for path in sources}
    inside = ""  # the innermost file of the traceback that is being printed
    for line in lines:
        place = PLACE.search(line)
        if place and place[1] in files:
            inside = files[place[1]]
            yield line.replace(place[0], f'File "fwnode/{inside}", in {names.long(inside, place[2])}')
        elif inside and not line.lstrip().startswith("File "):
            yield "".join(names.long(inside, word) for word in WORDS.split(line))
            inside = ""
        else:
            yield line
