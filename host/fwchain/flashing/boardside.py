"""Short programs that run on the board through its prompt. Each prints one line: MARK, then JSON
(LIST: one line a file, since a board has no room for them all at once).

They need nothing but MicroPython 1.25, except where they import fwnode, which is deployed first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fwchain.flashing.errors import FlashingError
from fwchain.flashing.prompt import MARK, Prompt

LIST = """
import os, hashlib, binascii, gc
gc.collect()
buf = bytearray(512)
def sha(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while True:
            n = f.readinto(buf)
            if not n:
                break
            h.update(memoryview(buf)[:n])
    print(MARK + binascii.hexlify(h.digest()).decode(), path)
def walk(path):
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        p = path + "/" + name
        if os.stat(p)[0] & 0x4000:
            walk(p)
        else:
            sha(p)
walk(FOLDER)
for p in STARTERS:
    try:
        sha(p)
        with open(p) as f:
            text = f.read()
        code = [x for x in text.split("\\n") if x.strip() and not x.strip().startswith("#")]
        if code and "fwnode" not in text and "fwchain" not in text:
            print(MARK + "own", p)
    except OSError:
        pass
s = os.statvfs("/")
print(MARK + "free", s[0] * s[3])
"""

PREPARE = """
import os
for p in REMOVE:
    try:
        os.remove(p)
    except OSError:
        pass
for p in EMPTY:
    try:
        os.rmdir(p)
    except OSError:
        pass
for p in FOLDERS:
    try:
        os.mkdir(p)
    except OSError:
        pass
print(MARK + "0")
"""

KEY = """
import json, binascii, os, sys
from fwnode import crypto
from fwnode.compat import run
from fwnode.crypto import steps
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots
def generate():
    yield
    return crypto.generate_key()
keys = KeyStore()
had = keys.get("sk") is not None
private = run(keys.private_key(generate))
public = keys.get("pk")
if public is None:
    public = run(steps.public_key(private))
    keys.put("pk", public)
slot = Slots().running
try:
    version = slot.app_version
except Exception:
    version = ""
print(MARK + json.dumps({"pk": binascii.hexlify(public).decode(), "had": had, "version": version,
    "slot": slot.label, "micropython": list(sys.implementation[1][:3])}))
"""

INSTALL = """
import json, binascii
from fwnode.compat import run
from fwnode.config import Config
from fwnode.update.files import FileStore
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots
from fwnode.update.verify import verifier_steps
un = binascii.unhexlify
Config(json.loads(CONFIG))
files = FileStore()
keys = KeyStore()
files.write("genesis", un(GENESIS))
files.write("root", un(ROOT))
keys.put("genesis", un(GENESIS_HASH))
if CERT:
    keys.put("cert", un(CERT))
slot = Slots().running
verifier = run(verifier_steps(slot, slot.image_length))
keys.put_record("run", {"p": slot.label.encode(), "h": verifier, "e": EPOCH, "v": VERSION.encode()})
files.write("config.json", CONFIG.encode())
ok = files.read("genesis") == un(GENESIS) and files.read("root") == un(ROOT)
ok = ok and keys.get("genesis") == un(GENESIS_HASH) and (not CERT or keys.get("cert") == un(CERT))
print(MARK + json.dumps({"ok": ok, "verifier": binascii.hexlify(verifier).decode()}))
"""


def run(prompt: Prompt, program: str, timeout: float = 120, **values: Any) -> str:
    """Run one of the programs above with its capital names bound; returns what it said."""
    head = "".join(f"{name} = {value!r}\n" for name, value in {"MARK": MARK, **values}.items())
    return prompt.run(head + program, timeout)


def call(prompt: Prompt, program: str, timeout: float = 120, **values: Any) -> Any:
    """The same for a program whose answer is JSON."""
    answer = run(prompt, program, timeout, **values)
    try:
        return json.loads(answer)
    except ValueError:
        last = [line for line in answer.splitlines() if line.strip()][-1:]
        raise FlashingError(
            f"the board at {prompt.port} gave no answer that makes sense: {last[0] if last else ''}"
        ) from None


def parents(paths: Iterable[str]) -> list[str]:
    """The folders that `paths` lie in, outermost first."""
    found = set()
    for path in paths:
        parts = path.split("/")[1:-1]
        for depth in range(1, len(parts) + 1):
            found.add("/" + "/".join(parts[:depth]))
    return sorted(found, key=lambda folder: (folder.count("/"), folder))


def total(files: Mapping[str, bytes]) -> int:
    """Bytes of all files together."""
    return sum(len(data) for data in files.values())
