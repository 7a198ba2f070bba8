"""Which of fwnode's modules a board needs: those that its start leads to, by imports, also those inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

PACKAGE = "fwnode"
ENTRIES = ("__init__.py",)  # fwnode.run, and all that it leads to
# What CPython alone imports; a board never does.
HOST_ONLY = ("crypto/host.py", "crypto/hostaes.py")


def needed(sources: Mapping[str, bytes], entries: Iterable[str] = ENTRIES) -> dict[str, bytes]:
    """Those of `sources` (path below fwnode → content) that `entries` lead to, in a stable order."""
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path in found or path in HOST_ONLY:
            continue
        found.add(path)
        for module in _imports(sources[path], path):
            waiting.extend(_files(module, sources))
    return {path: sources[path] for path in sorted(found)}


def _files(module: str, sources: Mapping[str, bytes]) -> Iterator[str]:
    """The files that importing `module` loads: its packages' and its own."""
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return
    for end in range(1, len(parts) + 1):
        inside = "/".join(parts[1:end])
        for path in (f"{inside}.py", f"{inside}/__init__.py".lstrip("/")):
            if path in sources:
                yield path


def _imports(source: bytes, path: str) -> Iterator[str]:
    here = [PACKAGE, *path.removesuffix(".py").split("/")][:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
