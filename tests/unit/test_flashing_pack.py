"""The pack of fwnode's modules: MicroPython itself reads back every .mpy file, and imports them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fwchain.board import compact
from fwchain.board.image import compile_py
from fwchain.flashing import mpy, pack

MICROPYTHON = [str(Path(sys.executable).with_name("micropython"))]
FLASH = 96 * 1024

HEAD = """
import json, os, sys
sys.path[:] = [{folder!r}, ".frozen"]
"""
READ = """
import fwnode
pack = fwnode.{Pack}({folder!r} + "/fwnode")
for path in {paths!r}:
    with pack.open("/" + path, "rb") as file:
        print(file.read().hex())
"""
IMPORT = """
import fwnode
print(fwnode.__path__, fwnode.run.__name__)
from fwnode.chain import header
import fwnode.wire.bencode
print(header.__name__, header.__file__, fwnode.wire.bencode.encode([1]))
for name in ("nothing", "chain.nothing"):
    try:
        __import__("fwnode." + name)
    except ImportError as error:
        print(error)
try:
    from fwnode.chain import nothing
except ImportError as error:
    print(error)
print(os.listdir("/fw"), "fw" in os.listdir("/"))
for name in list(sys.modules):
    if name.startswith("fwnode"):
        del sys.modules[name]
import fwnode.errors
print(fwnode.errors.FwError.__name__)
"""


@pytest.fixture(scope="module")
def library() -> dict[str, bytes]:
    return mpy.library()


@pytest.fixture
def deployed(tmp_path: Path, library: dict[str, bytes]) -> Path:
    """A folder as /lib of a board."""
    for path, data in library.items():
        place = tmp_path / path.removeprefix("/lib/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return tmp_path


def run(folder: Path, code: str, **values: object) -> subprocess.CompletedProcess[str]:
    text = (HEAD + code).format(folder=str(folder), **values)
    return subprocess.run([*MICROPYTHON, "-c", text], capture_output=True, text=True, timeout=60, check=False)


def test_what_a_board_gets_fits_into_its_budget(library: dict[str, bytes]) -> None:
    assert sum(map(len, library.values())) <= FLASH
    assert {"/lib/fwnode/__init__.mpy", "/lib/fwnode/index.pack", "/lib/fwnode/0.pack"} <= set(library)


def test_the_same_modules_make_the_same_pack(library: dict[str, bytes]) -> None:
    assert mpy.library() == library


def test_every_module_comes_back(deployed: Path) -> None:
    modules = {path: data for path, data in mpy.modules().items() if path != compact.UNPACKED}
    short = compact.Compact(compact.sources()).short["Pack"]
    done = run(deployed, READ, paths=list(modules), Pack=short)
    assert done.returncode == 0, done.stdout
    back = dict(zip(modules, map(bytes.fromhex, done.stdout.split()), strict=True))
    for path, data in modules.items():
        assert pack.taken_apart(path, back[path]) == pack.taken_apart(path, data), path


def test_imports(deployed: Path) -> None:
    done = run(deployed, IMPORT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines() == [
        "/fw run",
        "fwnode.chain.header /fw/chain/header.mpy b'li1ee'",
        "no module /nothing.mpy",
        "no module /chain/nothing.mpy",
        "no module /chain/nothing.mpy",
        "[] True",
        "FwError",
    ]


def test_what_is_no_pack_is_said(deployed: Path) -> None:
    place = deployed / "fwnode" / "index.pack"
    for data, words in ((b"", "deploy it again"), (b"fwp9" + bytes(60), "deploy it again"), (None, "ENOENT")):
        place.unlink()
        if data is not None:
            place.write_bytes(data)
        done = run(deployed, "import fwnode")
        assert done.returncode and words in done.stdout
        place.touch()


def test_a_block_of_another_index_is_an_error_and_no_endless_loop(deployed: Path) -> None:
    names = sorted(path.name for path in (deployed / "fwnode").glob("[0-9]*.pack"))
    blocks = [(deployed / "fwnode" / name).read_bytes() for name in names]
    for name, data in zip(names, [*blocks[1:], blocks[0]], strict=True):
        (deployed / "fwnode" / name).write_bytes(data)
    paths = [path for path in mpy.modules() if path != compact.UNPACKED]
    code = f"""
try:
    import fwnode
except Exception as error:
    print("no fwnode", type(error).__name__)
for path in {paths!r}:
    try:
        open("/fw/" + path, "rb").read()
        print("read")
    except Exception as error:
        print(type(error).__name__)
"""
    done = subprocess.run(
        [*MICROPYTHON, "-c", HEAD.format(folder=str(deployed)) + code], capture_output=True, timeout=60
    )
    words = done.stdout.split()
    assert words[:2] == [b"no", b"fwnode"] and len(words) == len(paths) + 3
    assert {b"OSError", b"EOFError", b"IndexError"} & set(words[3:]) and words.count(b"read") < len(paths) // 4


def test_machine_code_comes_when_an_application_names_it() -> None:
    assert "crypto/native.mpy" not in mpy.modules([b"crypto.sign(key, b'use')"])
    assert "crypto/native.mpy" in mpy.modules([b"from fwnode import crypto\ncrypto.use_machine_code()"])


def test_more_than_fits_is_refused() -> None:
    long = compile_py(b"def " + b"x" * 64 + b"(): pass", "m", 3)
    with pytest.raises(pack.PackError, match=r"a\.mpy: the name .* has 64 bytes, allowed are 1 to 63"):
        pack.packed({"a.mpy": long})
    names = b"".join(b"x%059d()\n" % number for number in range(40))
    with pytest.raises(pack.PackError, match="16 names have [0-9]+ bytes, limit 256"):
        pack.packed({"a.mpy": compile_py(names, "m", 3)})
    with pytest.raises(pack.PackError, match="34 packages, at most 32"):
        pack.packed({f"p{number}/__init__.mpy": compile_py(b"x()", "m", 3) for number in range(33)})
    big = compile_py(b"x = b'" + b"x" * 70000 + b"'", "m", 3)
    with pytest.raises(pack.PackError, match=r"a\.mpy: 70[0-9]+ bytes, limit 65535"):
        pack.packed({"a.mpy": big})
    wide = {f"{'p' * 60}{number}/__init__.mpy": compile_py(b"", "m", 3) for number in range(5)}
    with pytest.raises(pack.PackError, match="the folders' names have 315 bytes, limit 255"):
        pack.packed(wide)
    with pytest.raises(pack.PackError, match="p: a folder without __init__"):
        pack.packed({"p/a.mpy": compile_py(b"x()", "m", 3)})


def test_a_small_pack_of_modules_with_many_names(tmp_path: Path) -> None:
    """More than 224 names, so that some have numbers of two bytes; a package's name before a dot."""
    source = b"".join(b"n%d = %d\n" % (number, number) for number in range(600)) + b"odd = '\\x01x'\neven = '\\x1f'\n"
    files = {"a.mpy": compile_py(source, "fwnode.a", 3), "p/b.mpy": compile_py(b"import fwnode.p.b", "fwnode.p.b", 3)}
    unpack = compact.library()[compact.UNPACKED]
    (tmp_path / "fwnode").mkdir()
    (tmp_path / "fwnode" / "__init__.mpy").write_bytes(unpack)
    files["main.mpy"], files["p/__init__.mpy"] = (
        compile_py(b"run = 1", "fwnode.main", 3),
        compile_py(b"", "fwnode.p", 3),
    )
    for name, data in pack.packed(files).items():
        (tmp_path / "fwnode" / name).write_bytes(data)
    code = (
        "import fwnode.a, fwnode.p.b as b\nassert (fwnode.a.odd, fwnode.a.even) == ('\\x01x', '\\x1f')\n"
        "print(json.dumps([getattr(fwnode.a, 'n%d' % i) for i in range(600)]))"
    )
    done = run(tmp_path, code)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout) == list(range(600))
