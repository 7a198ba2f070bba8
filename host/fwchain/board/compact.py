"""fwnode as it is put on a board: its own names made short, in each file as many as need be and the same ones again.

MicroPython keeps every name that it has ever seen for as long as it runs, some 25 bytes each on an ESP32 and more on
the virtual board: fwnode's 1,700 names took a third of what it took of the heap. Two names may share a short one when
no file has both. What a name is good for elsewhere leaves it as it is: MicroPython's names and the standard library's,
those that stand in fwnode as text (it may be what getattr looks for), modules, errors, and what an application
mentions, so that it may reach into anything.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from fwchain import resources
from fwchain.board import closure
from fwchain.board.image import collect, compile_files

UNPACK, UNPACKED = "unpack.py", "unpack.mpy"  # what stands for __init__ on a board where the rest comes in a pack
OPTIMISE = 3  # mpy-cross -O: no asserts, no line numbers: 6 % smaller

# Names that fwnode uses for things of its own, and others for theirs. A test finds those that are missing here.
SHARED = """
    abort active add address base bits buffer clear close collect columns config connect const count data decode dict
    digest done elapsed enable encode error events extend feed fill find full get hash head height host id idle
    ilistdir index info items join k key keys kill label last length link list listen load main measure mount name new
    open pack partition path platform port post put r read readinto readline recv release remove rename request reset
    run s seed server set_boot sha256 shape size slot sock source start stat state stats status statvfs stop stream
    string sync target tasks tell threshold ticks_add ticks_diff ticks_ms time times umount unpack update url value
    values version wait wake write
"""
# what an application or a program at the prompt finds by its name
PUBLIC = """
    run check_now Config FileStore KeyStore Slots SlotView app_version image_length private_key put_record
    verifier_steps
"""
WORD = re.compile(rb"[A-Za-z_]\w*")
LETTERS, DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NAMED = (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler)


def compiled(sources: Mapping[str, bytes], mentions: Iterable[bytes] = ()) -> dict[str, bytes]:
    """`sources` (path below fwnode → content) as a board gets them: short names, .mpy files."""
    return compile_files(Compact(sources, mentions).files(), OPTIMISE, module_name)


def library(mentions: Iterable[bytes] = ()) -> dict[str, bytes]:
    """The same of what a board needs of fwnode, and of what stands for its __init__ where it comes in a pack."""
    return compiled(sources(), mentions)


def sources() -> dict[str, bytes]:
    """Those files of fwnode, as they are."""
    return closure.needed(collect(resources.fwnode_folder()), (*closure.ENTRIES, UNPACK))


def module_name(path: str) -> str:
    """What tracebacks call the file `path` of fwnode: its module, a name that the board has anyway."""
    return f"{closure.PACKAGE}/{path}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Compact:
    """The short names of `sources` (path below fwnode → content); `mentions` are sources whose names are left alone,
    `users` files that will be renamed, too (path → content): no two names in one of them have the same short one.
    """

    def __init__(
        self, sources: Mapping[str, bytes], mentions: Iterable[bytes] = (), users: Mapping[str, bytes] | None = None
    ) -> None:
        self.sources = sources
        self.short = dict(_chosen(tuple(sorted(sources.items())), tuple(sorted((users or {}).items()))))
        for word in {word for source in mentions for word in WORD.findall(source)}:
            self.short.pop(word.decode(), None)

    def files(self) -> dict[str, bytes]:
        """`sources` with the short names."""
        return {path: self.rename(source) for path, source in self.sources.items()}

    def rename(self, source: bytes) -> bytes:
        """A source of fwnode, or a program that uses it, with the short names."""
        return ast.unparse(_Renamer(self.short).visit(ast.parse(source))).encode()

    def long(self, path: str, short: str) -> str:
        """The name that `short` stands for in the file `path`; `short` itself where it stands for none."""
        here = used(ast.parse(self.sources.get(path, b"")))
        return next((name for name, given in self.short.items() if given == short and name in here), short)


def used(tree: ast.AST) -> set[str]:
    """Every name in a source."""
    return {name for node in ast.walk(tree) for name in _names(node)}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, NAMED):
        yield node.name or ""
    elif isinstance(node, (ast.arg, ast.keyword)):
        yield node.arg or ""
    elif isinstance(node, ast.alias):
        yield from node.name.split(".")
        yield node.asname or ""
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names


Files = tuple[tuple[str, bytes], ...]


@lru_cache(maxsize=8)
def _chosen(sources: Files, users: Files) -> tuple[tuple[str, str], ...]:
    """(name, short name) of every name that may have one: the most common first, each the first that is free."""
    trees = {path: ast.parse(source) for path, source in sources}
    every = {**trees, **{path: ast.parse(source) for path, source in users}}
    places: dict[str, set[str]] = defaultdict(set)
    for path, tree in every.items():
        for name in used(tree):
            places[name].add(path)
    for name in set().union(*(_set_from_outside(tree) for tree in every.values())):
        places[name] = set(every)  # an object has it that is another file's
    family = _families(every)
    own = set().union(*map(_defined, trees.values())) - _kept(trees) - _texts(every) - _modules(every)
    own -= _keywords(every, own)
    taken: dict[str, set[str]] = defaultdict(set)
    chosen = {}
    for name in sorted(own, key=lambda name: (-len(places[name]), name)):
        where = {family[path] for path in places[name]}
        short = next(s for s in _short_names() if s not in places and not taken[s] & where)
        taken[short] |= where
        chosen[name] = short
    return tuple(chosen.items())


def _short_names() -> Iterator[str]:
    """a0, b0, …: no word that somebody would give to a thing."""
    return (letter + digit for digit, letter in itertools.product(DIGITS, LETTERS))


def _defined(tree: ast.Module) -> set[str]:
    """What a file gives a name to, but for constants that MicroPython leaves out."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, NAMED) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {name for name in found if not name.startswith("__")} - set(_left_out(tree))


def _left_out(tree: ast.Module) -> Iterator[str]:
    """`_NAME = const(…)`: its name tells the compiler that nobody else needs it."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and _called(node.value) == "const":
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id.startswith("_"):
                    yield target.id


def _set_from_outside(tree: ast.Module) -> set[str]:
    """Attributes that are set on anything but `self`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }


def _families(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """Path → one of the paths whose classes inherit from each other: an object has the names of all of them."""
    classes = [
        (path, node) for path, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    places = {node.name: path for path, node in classes}
    family = {path: path for path in trees}
    for path, node in classes:
        for base in map(_last, node.bases):
            old, new = family[path], family[places.get(base, path)]
            family = {p: new if f == old else f for p, f in family.items()}
    return family


def _kept(trees: Mapping[str, ast.Module]) -> set[str]:
    """Names of others, those that others look for, and those that are printed."""
    kept = {*SHARED.split(), *PUBLIC.split()}
    for tree in trees.values():
        kept.update(_of_others(tree))
        kept.update(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and _is_error(node))
    return kept


def _keywords(trees: Mapping[str, ast.Module], own: set[str]) -> set[str]:
    """Names of arguments for functions that are not fwnode's `own`, or that gather them in a dictionary."""
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    gathering = {node.name for node in nodes if isinstance(node, FUNCTIONS) and node.args.kwarg}
    ours = own - gathering
    calls = (node for node in nodes if isinstance(node, ast.Call) and _last(node.func) not in ours)
    return {keyword.arg or "" for node in calls for keyword in node.keywords}


def _modules(paths: Iterable[str]) -> set[str]:
    return {name for path in paths for name in path.removesuffix(".py").split("/")}


def _texts(trees: Mapping[str, ast.Module]) -> set[str]:
    """Texts that may be names, and the words of those that may be tables of fields."""
    found: set[str] = set()
    for tree in trees.values():
        comments = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in comments:
                found.update(node.value.split() if "\n" in node.value else [node.value])
    return found


def _of_others(tree: ast.Module) -> Iterator[str]:
    """What a file imports from elsewhere, and looks for in modules from elsewhere."""
    nodes = list(ast.walk(tree))
    imports = [n for n in nodes if isinstance(n, ast.Import) or (isinstance(n, ast.ImportFrom) and _is_elsewhere(n))]
    modules = {name for node in imports for alias in node.names for name in (alias.name, alias.asname or "")}
    yield from modules
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield node.attr


def _is_elsewhere(node: ast.ImportFrom) -> bool:
    return not node.level and (node.module or "").split(".")[0] != closure.PACKAGE


def _is_error(node: ast.ClassDef) -> bool:
    return any(base.endswith(("Error", "Exception")) for base in map(_last, node.bases))


def _called(node: ast.expr) -> str:
    return _last(node.func) if isinstance(node, ast.Call) else ""


def _last(node: ast.expr) -> str:
    """The last word of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Renamer(ast.NodeTransformer):
    def __init__(self, short: Mapping[str, str]) -> None:
        self._short: Callable[[str], str] = lambda name: short.get(name, name)

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.Name):
            node.id = self._short(node.id)
        elif isinstance(node, ast.Attribute):
            node.attr = self._short(node.attr)
        elif isinstance(node, NAMED) and node.name:
            node.name = self._short(node.name)
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
            node.arg = self._short(node.arg)
        elif isinstance(node, ast.alias):
            node.name = ".".join(map(self._short, node.name.split(".")))
            node.asname = self._short(node.asname) if node.asname else None
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = list(map(self._short, node.names))
        return node
