"""The structure that the design promises: imports point one way, the protocol exists once, a file has one purpose."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwnode.wire.fields import TYPES

ROOT = Path(__file__).parents[2]
FWNODE = ROOT / "device" / "fwnode"
HOST = ROOT / "host" / "fwchain"

# what each package of fwnode may import of fwnode, besides itself
BASE = {"errors", "compat", "rare"}
MAY_IMPORT = {
    "errors": set[str](),
    "compat": set[str](),
    "crypto": BASE,
    "wire": BASE | {"crypto"},
    "trust": BASE | {"crypto", "wire"},
    "chain": BASE | {"crypto", "wire", "trust"},
    "roles": BASE | {"crypto", "wire", "trust", "chain"},
    "update": BASE | {"crypto", "wire", "trust", "chain"},
    "net": BASE | {"crypto"},
    "swarm": BASE | {"crypto", "wire", "trust", "chain", "net"},
}
PURE = ("chain", "trust", "wire", "crypto", "roles")
IO_MODULES = {
    "asyncio", "bluetooth", "esp", "esp32", "io", "json", "machine", "network", "select", "socket", "ssl", "sys",
    "time", "tls", "uctypes", "vfs",
}  # fmt: skip
CLOCKS = {"ticks_ms", "ticks_diff", "ticks_add", "drive"}
# crypto chooses its implementation by the interpreter, and takes randomness from the system
ALLOWED_IO = {("crypto/steps.py", "sys"), ("crypto/native.py", "sys")}
ALLOWED_OS = {"urandom"}

MAX_LINES = 400

MESSAGE_TYPES = set(TYPES) - {"block"}  # "block" is also an ordinary word


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def unit(path: Path) -> str:
    """The package of fwnode that a file belongs to; a module beside the packages is one by itself."""
    relative = path.relative_to(FWNODE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere in it, also inside functions; relative ones resolved."""
    package = ("fwnode", *path.relative_to(FWNODE).parts[:-1]) if path.is_relative_to(FWNODE) else ()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def units_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imported(path))
    return {parts[1] for parts in names if parts[0] == "fwnode" and len(parts) > 1} - {unit(path)}


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_imports_inside_fwnode_point_one_way(name: str) -> None:
    files = [path for path in sources(FWNODE) if unit(path) == name]
    assert files
    for path in files:
        wrong = units_imported(path) - MAY_IMPORT[name]
        assert not wrong, f"{path.relative_to(ROOT)} imports fwnode.{', fwnode.'.join(sorted(wrong))}"


def test_every_package_of_fwnode_has_its_place_in_the_order() -> None:
    assert {path.name for path in FWNODE.iterdir() if (path / "__init__.py").exists()} <= set(MAY_IMPORT)


def test_the_modules_that_compose_a_node_import_in_no_circle() -> None:
    """`node` and its neighbours, where an import inside a function would hide a circle from the interpreter."""
    edges = {unit(path): units_imported(path) - set(MAY_IMPORT) for path in sources(FWNODE) if path.parent == FWNODE}
    done: set[str] = set()
    while ready := [name for name in edges if name not in done and edges[name] - {name} <= done]:
        done.update(ready)
    circle = {name: sorted(edges[name] - done) for name in edges if name not in done}
    assert not circle


def let_go() -> tuple[str, ...]:
    """The prefixes of what a board lets go of while it runs."""
    from fwnode import node, rare, updating
    from fwnode.swarm import router

    found = (*node.CHECKING, *node.UPDATING, *node.FOLLOWING, *updating.DOWNLOADING, *router.PEERING, *rare.ASKING)
    return (*found, "fwnode.swarm.tracker")


def test_a_board_lets_go_of_what_a_list_names_and_of_nothing_that_only_begins_alike() -> None:
    parts = ("fwnode.checking_news", "fwnode.checking_roots", "fwnode.headers_file", "fwnode.update.imagecheck")
    modules = {".".join(path.relative_to(FWNODE.parent).with_suffix("").parts) for path in sources(FWNODE)}
    modules = {module.removesuffix(".__init__") for module in modules}
    for prefix in let_go():
        matched = {module for module in modules if module.startswith(prefix)}
        assert prefix in matched, f"{prefix} is no module"
        assert {module for module in matched if module != prefix and not module.startswith(prefix + ".")} <= {*parts}


def test_what_stays_loaded_holds_nothing_that_is_let_go() -> None:
    """From `main` on, by what is imported when a file is loaded, not in its functions."""
    waiting, seen = ["fwnode.main", "fwnode.node", "fwnode.clock", "fwnode.app", "fwnode.net.lan"], set()
    while waiting:
        module = waiting.pop()
        path = FWNODE.parent.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if module in seen or not path.exists() or path.name in ("host.py", "hostaes.py"):
            continue
        seen.add(module)
        for node in tree(path).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fwnode"):
                waiting += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert "fwnode.swarm.resting" in seen
    assert not {module for module in seen if module.startswith(let_go())}


def test_the_board_imports_nothing_of_the_host() -> None:
    for path in sources(ROOT / "device"):
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "fwchain"], path


@pytest.mark.parametrize("name", PURE)
def test_the_protocol_does_no_io_and_has_no_clock(name: str) -> None:
    """So that it runs alike on a board, on the host and in a simulator."""
    for path in sources(FWNODE / name):
        where = path.relative_to(FWNODE).as_posix()
        roots = {module.split(".")[0] for module in imported(path)} & IO_MODULES
        assert not {module for module in roots if (where, module) not in ALLOWED_IO}, f"{where} imports {roots}"
        assert not {module.rsplit(".", 1)[1] for module in imported(path) if ".compat." in module} & CLOCKS, where
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert node.attr in ALLOWED_OS, f"{where}:{node.lineno} uses os.{node.attr}"
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                assert {alias.name for alias in node.names} <= ALLOWED_OS, f"{where}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("open", "print", "input"), f"{where}:{node.lineno} calls {node.func.id}"
            assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await)), f"{where}:{node.lineno} is asynchronous"


# one implementation of the protocol: the host has none


def constants(path: Path) -> Iterator[tuple[int, str | bytes]]:
    """Line and value of every string constant that is not documentation."""
    documentation = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documentation.add(node.value)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and node not in documentation:
            yield node.lineno, node.value


def test_message_types_are_named_by_the_exchange_alone() -> None:
    """Where a type is named, messages are made or taken apart."""
    found = set()
    for path in sources(HOST):
        for _, value in constants(path):
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if any(re.search(rf"(?<![a-z_]){kind}(?![a-z_])", text) for kind in MESSAGE_TYPES):
                found.add(path.relative_to(HOST).as_posix())
    assert found == {"verification/exchange.py"}


def test_the_exchange_makes_messages_through_fwnode() -> None:
    """Its one way to an answer: fwnode.wire.message's new, seal and sign; its one way in: parse, verify, unseal."""
    path = HOST / "verification" / "exchange.py"
    calls = {
        node.func.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "message"
    }
    assert {"new", "seal", "sign", "parse", "verify", "unseal"} <= calls
    assert not [name for name in imported(path) if "bencode" in name]


def test_only_what_is_no_message_is_bencoded_on_the_host() -> None:
    """Tickets are the verification node's own; two answers of /chain are plain lists of what fwnode encoded; a node
    hands its own block over before it is encoded."""
    users = {
        path.relative_to(HOST).as_posix() for path in sources(HOST) if any("bencode" in name for name in imported(path))
    }
    assert users <= {"verification/tickets.py", "chainstore/sync.py", "chainstore/web.py", "chainstore/ledger.py"}


def test_nothing_is_signed_or_hashed_under_the_protocols_names_on_the_host() -> None:
    """Domains (`fwchain/1 …`), the header's layout and the merkle tree's prefixes stand in fwnode."""
    for path in sources(HOST):
        for line, value in constants(path):
            where = f"{path.relative_to(ROOT)}:{line}"
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if path.name != "tickets.py":  # the verification node's own secret
                assert not text.startswith("fwchain/1"), where
            assert not re.search(r"32s32s(Q|8s)I", text), f"{where}: a block header's layout"


def test_elliptic_curves_on_the_host_are_fwnodes_but_for_files_and_tls() -> None:
    users = {
        path.relative_to(HOST).as_posix()
        for path in sources(HOST)
        if any(name.startswith("cryptography.") and "asymmetric" in name for name in imported(path))
    }
    assert users <= {"keyfile.py", "tls.py"}


def test_no_function_of_the_host_is_named_after_a_part_of_the_protocol() -> None:
    taken = {"bencode", "bdecode", "merkle_root", "proof_of_work", "hpke_seal", "hpke_open", "ecdsa_sign", "node_id"}
    for path in sources(HOST):
        names = {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not names & taken, path


def test_no_file_is_asking_to_be_two() -> None:
    long = {}
    for path in sources(HOST) + sources(ROOT / "device"):
        name = path.relative_to(ROOT).as_posix()
        count = len(path.read_text().splitlines())
        if count > MAX_LINES:
            long[name] = count
    assert not long
