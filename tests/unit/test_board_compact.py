"""fwnode's names on a board: short, and none that somebody else needs."""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib
import io
import struct
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from fwchain.board import compact
from fwchain.board.compact import Compact
from fwchain.cli.app import app
from fwchain.flashing import boardside

RUNTIME = Path(compact.__file__).parent / "runtime"
MODULES = "asyncio binascii collections errno gc hashlib io json os random select socket struct sys time"


@pytest.fixture(scope="module")
def sources() -> dict[str, bytes]:
    return compact.sources()


@pytest.fixture(scope="module")
def names(sources: dict[str, bytes]) -> Compact:
    return Compact(sources)


def members(thing: object) -> set[str]:
    """Names of a module's or type's members, and of those of the types in it."""
    found = set(dir(thing))
    if isinstance(thing, ModuleType):
        for name in dir(thing):
            found.update(dir(getattr(thing, name)) if isinstance(getattr(thing, name), type) else ())
    return {name for name in found if not name.startswith("_")}


def others() -> set[str]:
    """What the standard library and a board's own modules call something."""
    types = (int, str, bytes, bytearray, dict, list, set, tuple, memoryview, Exception, struct.Struct, io.BytesIO)
    found = members(builtins) | members(asyncio.StreamReader) | members(asyncio.StreamWriter)
    found.update(*map(members, types), *(members(importlib.import_module(name)) for name in MODULES.split()))
    for path in RUNTIME.glob("*.py"):  # esp32, machine, network as they are here
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                found.add(node.name)
    return found


def attributes(source: bytes | str) -> set[str]:
    """Names that a source looks for in something, imports or passes an argument by."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.name for alias in node.names)
    return found


def test_no_name_of_somebody_elses_is_short(sources: dict[str, bytes], names: Compact) -> None:
    asked = set().union(*map(attributes, sources.values()))
    assert asked & others() & set(names.short) == set(), "add them to SHARED"


def test_programs_for_the_prompt_find_what_they_look_for(names: Compact) -> None:
    for program in (boardside.KEY, boardside.INSTALL):
        assert not attributes(program) & set(names.short), "add them to PUBLIC"


def test_two_names_in_one_file_stay_two(sources: dict[str, bytes], names: Compact) -> None:
    for path, source in sources.items():
        here = compact.used(ast.parse(source)) & set(names.short)
        assert len({names.short[name] for name in here}) == len(here), path


def test_files_share_short_names(names: Compact) -> None:
    assert len(names.short) > 900
    assert len(set(names.short.values())) < len(names.short) / 5


def test_a_class_and_its_heir_elsewhere_have_names_of_their_own() -> None:
    base = b"class Base:\n    def __init__(self):\n        self._first = 1\n"
    heir = b"from fwnode.base import Base\nclass Heir(Base):\n    def work(self):\n        self._second = 2\n"
    short = Compact({"base.py": base, "heir.py": heir}).short
    assert short["_first"] != short["_second"]


def test_what_is_set_from_outside_clashes_with_nothing() -> None:
    there = b"class Thing:\n    def __init__(self):\n        self.inner = 1\n"
    here = b"def mark(thing):\n    thing.outer = 1\n"
    short = Compact({"there.py": there, "here.py": here}).short
    assert short["inner"] != short["outer"]


def test_names_that_stand_in_texts_stay() -> None:
    source = b'''
"""The docstring names other."""
FIELDS = """
size int
"""

def other(plan, size):
    return getattr(plan, "rest")

def rest():
    pass
'''
    short = Compact({"x.py": source}).short
    assert set(short) == {"FIELDS", "other", "plan"}


def test_keywords_of_what_is_not_ours_or_gathers_them_stay() -> None:
    source = b"""
def tell(state_word, **facts):
    return sorted(facts, reverse=True)

def act(reverse, colour, depth):
    tell(1, colour=colour)
    act(reverse, colour, depth=2)
"""
    short = Compact({"x.py": source}).short
    assert "depth" in short
    assert not {"reverse", "colour"} & set(short)


def test_what_others_modules_have_keeps_its_name() -> None:
    source = b"""
import machine
from vfs import mount
from fwnode.base import Own

def pin(mount, machine_id, own):
    machine.pin(own)
"""
    assert set(Compact({"x.py": source}).short) == {"own", "machine_id"}


def test_every_kind_of_name_is_renamed_with_what_refers_to_it() -> None:
    source = b"""
import fwnode.base as basis
from fwnode.base import Own as Mine

class Thing(Mine):
    async def work(self, *many, option=None, **rest):
        global counter
        counter = [basis, many, option, rest]
        inner = 1

        def nested():
            nonlocal inner
            inner += 1

        try:
            nested()
        except ValueError as problem:
            raise RuntimeError(f"{problem}: {inner!r:>{option}}") from problem
        async with self as held:
            return [each for each in (lambda given: given)(held)]
"""
    names = Compact({"x.py": source})
    words = "Thing work self many option rest counter inner nested problem held each given"
    assert " ".join(sorted(names.short)) == " ".join(sorted(words.split()))
    left = {word.decode() for word in compact.WORD.findall(names.rename(source))}
    assert not left & set(names.short)


def test_private_constants_and_errors_keep_their_names() -> None:
    source = b"_LIMIT = const(5)\nMOST = const(6)\n\nclass OurError(Exception):\n    pass\n"
    assert set(Compact({"x.py": source}).short) == {"MOST"}


def test_a_program_is_renamed_as_fwnode_is(names: Compact) -> None:
    renamed = names.rename(b"from fwnode.node import begin_anew\nprint(f'{begin_anew!r}', 'begin_anew')\n").decode()
    assert f"import {names.short['begin_anew']}\n" in renamed
    assert f"{{{names.short['begin_anew']}!r}}" in renamed
    assert "'begin_anew'" in renamed


def test_what_an_application_mentions_keeps_its_name(sources: dict[str, bytes]) -> None:
    short = Compact(sources, [b"from fwnode import node\n# and begin_anew\nnode.Node.check_soon"]).short
    assert not {"Node", "check_soon", "begin_anew"} & set(short)


def test_a_traceback_is_made_readable(names: Compact, tmp_path: Path) -> None:
    anew, begin = names.short["Node"], names.short["begin_anew"]
    log = tmp_path / "console.log"
    said = (
        "Traceback (most recent call last):\n"
        f'  File "main.py", line 10, in <module>\n  File "fwnode.node", line 1, in {begin}\n'
        f"AttributeError: '{anew}' object has no attribute 'x'\nit's '{anew}' elsewhere\n"
    )
    log.write_bytes(b"a line's noise: \xff\n" + said.encode())
    result = CliRunner().invoke(app, ["board", "traceback", str(log)])
    assert result.output.splitlines() == [
        "a line's noise: \ufffd",
        "Traceback (most recent call last):",
        '  File "main.py", line 10, in <module>',
        '  File "fwnode/node.py", in begin_anew',
        "AttributeError: 'Node' object has no attribute 'x'",
        f"it's '{anew}' elsewhere",
    ]
