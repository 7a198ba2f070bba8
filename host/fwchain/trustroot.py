"""The next trust root: drafted from the current one, signed on machines without network, put into the network folder.

What a draft holds is checked here so that nobody signs a root which leaves the network without the keys that it needs.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fwchain import keyfile, tls
from fwchain.errors import NotTrusted, SetupError
from fwchain.network import Network
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.trust import issue
from fwnode.trust.cert import MAX_CERTIFICATE, Certificate
from fwnode.trust.root import Root
from fwnode.wire import WireError
from fwnode.wire.message import key_id

KEY_ID_DIGITS = 40
KINDS = {"root": "root-keys", "node": "nodes", "enrolment": "enrolment-keys"}  # vendor keys are listed by model


@dataclass
class Changes:
    """What the next root has otherwise. Keys are 65 bytes, key IDs 20; `expires` in seconds since 1970."""

    expires: int
    add: dict[str, list[bytes]] = field(default_factory=dict)  # root, node, enrolment → keys
    add_vendors: list[tuple[str, bytes]] = field(default_factory=list)  # (model or *, key)
    retire: dict[str, list[bytes]] = field(default_factory=dict)  # root, node, enrolment, vendor → key IDs
    revoke: list[bytes] = field(default_factory=list)
    pardon: list[bytes] = field(default_factory=list)
    thresholds: dict[str, int] = field(default_factory=dict)  # root, vendor, node


@dataclass
class Signed:
    """How far the signatures of a root are: of the root before it (None: not at hand), and of itself."""

    before: tuple[int, int] | None
    own: tuple[int, int]
    missing: list[str]  # key IDs whose signature is not there, hexadecimal

    @property
    def enough(self) -> bool:
        """Whether the root counts."""
        return self.before is not None and all(have >= need for have, need in (self.before, self.own))

    def __str__(self) -> str:
        parts = [] if self.before is None else [f"{self.before[0]} of {self.before[1]} of the keys before it"]
        return ", ".join([*parts, f"{self.own[0]} of {self.own[1]} of its own"])


def read(path: Path) -> Root:
    """The root in a file; raises SetupError."""
    try:
        return Root(path.read_bytes())
    except FileNotFoundError:
        raise SetupError(f"{path}: there is no such file") from None
    except WireError as error:
        raise SetupError(f"{path} is no trust root: {error}") from error


def public_key(text: str) -> bytes:
    """A public key (65 bytes) of a file (PEM of either key, or an X.509 certificate) or of 130 hexadecimal digits.

    Raises SetupError.
    """
    path = Path(text)
    if not path.is_file():
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) != 65 or found[0] != 4:
            raise SetupError(f"{text}: neither a file nor a public key of 130 hexadecimal digits")
        return found
    if b"-BEGIN CERTIFICATE-" in path.read_bytes():
        return tls.public_keys(path)[0]
    return keyfile.public(path)


def identifier(text: str) -> bytes:
    """A key ID (20 bytes): 40 hexadecimal digits, or that of the key in a file, a board's certificate among them."""
    if len(text) == KEY_ID_DIGITS and not Path(text).exists():
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise SetupError(f"{text}: a key ID is 40 hexadecimal digits") from None
    path = Path(text)
    if path.is_file() and path.stat().st_size <= MAX_CERTIFICATE:
        try:
            return bytes(Certificate(path.read_bytes()).key_id)
        except WireError:
            pass  # a PEM file is as short
    return bytes(key_id(public_key(text)))


def draft(current: Root, changes: Changes) -> Root:
    """The unsigned root that follows `current`; raises SetupError saying what it would lack."""
    revoked = [one for one in current.revoked if one not in changes.pardon]
    revoked += [one for one in changes.revoke if one not in revoked]
    body: dict[str, Any] = {"expires": changes.expires, "revoked": revoked}
    for kind, name in KINDS.items():
        gone = set(changes.retire.get(kind, [])) | set(changes.revoke)
        body[name] = _listed(_keys(current, kind), changes.add.get(kind, []), gone, kind, current.number)
    body["vendor-keys"] = _vendors(current, changes)
    for kind in ("root", "vendor", "node"):
        body[f"{kind}-threshold"] = changes.thresholds.get(kind, _threshold(current, kind))
    _check_known(current, changes)
    for kind, count in (("root", len(body["root-keys"])), ("node", len(body["nodes"]))):
        _check_threshold(kind, body[f"{kind}-threshold"], count, f"{kind} keys")
    for model, keys in body["vendor-keys"].items():
        _check_threshold("vendor", body["vendor-threshold"], len(keys), f"vendor keys for model {model}")
    try:
        return Root(issue.successor(current, body))
    except WireError as error:
        raise SetupError(str(error)) from error


def _keys(root: Root, kind: str) -> list[bytes]:
    return list({"root": root.keys, "node": root.nodes, "enrolment": root.enrolment}[kind])


def _threshold(root: Root, kind: str) -> int:
    return int({"root": root.threshold, "vendor": root.vendor_threshold, "node": root.node_threshold}[kind])


def _listed(keys: list[bytes], added: list[bytes], gone: set[bytes], what: str, number: int) -> list[bytes]:
    for public in added:
        if public in keys:
            raise SetupError(f"{what} key {key_id(public).hex()} stands in root {number} already")
    return [public for public in [*keys, *added] if key_id(public) not in gone]


def _vendors(current: Root, changes: Changes) -> dict[str, list[bytes]]:
    gone = set(changes.retire.get("vendor", [])) | set(changes.revoke)
    models = {**{model: list(keys) for model, keys in current.vendors.items()}}
    for model, public in changes.add_vendors:
        models[model] = _listed(models.get(model, []), [public], set(), f"vendor ({model})", current.number)
    return {model: [public for public in keys if key_id(public) not in gone] for model, keys in models.items()}


def _check_known(current: Root, changes: Changes) -> None:
    """A key that is to go must be there, so that a slip of the pen leaves no thief's key in force."""
    there = {kind: {key_id(public) for public in _keys(current, kind)} for kind in KINDS}
    there["vendor"] = {key_id(public) for keys in current.vendors.values() for public in keys}
    for kind, gone in changes.retire.items():
        for one in gone:
            if one not in there[kind]:
                raise SetupError(f"{one.hex()} is no {kind} key of root {current.number}")
    for one in changes.pardon:
        if one not in current.revoked:
            raise SetupError(f"{one.hex()} is not revoked by root {current.number}")


def _check_threshold(kind: str, threshold: int, count: int, what: str) -> None:
    if not 1 <= threshold <= count:
        raise SetupError(
            f"{kind}-threshold: {threshold}, but the new root has {count} {what}: add one (--add-{kind}), or give"
            f" --{kind}-threshold"
        )


def sign(path: Path, keys: list[Path], before: Root | None) -> Root:
    """Add each key's signature to the root in `path`; raises SetupError or NotTrusted for a key that counts nowhere."""
    root = read(path)
    for file in keys:
        private = keyfile.load(file)
        public = keyfile.public(file)
        if public not in root.keys and (before is None or public not in before.keys):
            raise NotTrusted(f"{file}: key {key_id(public).hex()} is no root key of this root or the one before")
        root = Root(run(issue.sign_root(root.data, private)))
    write(path, root.data)
    return root


def signatures(root: Root, before: Root | None) -> Signed:
    """Whose signatures `root` has and lacks."""
    missing: list[str] = []

    def count(one: Root) -> tuple[int, int]:
        have = issue.signers(root, one)
        if len(have) < one.threshold:
            missing.extend(key_id(public).hex() for public in one.keys if public not in have)
        return len(have), one.threshold

    earlier = count(before) if before else None
    return Signed(earlier, count(root), list(dict.fromkeys(missing)))


def install(network: Network, path: Path) -> Root:
    """Put a signed root into the network folder as its next one; raises SetupError or NotTrusted, saying what lacks."""
    root = read(path)
    current = network.root
    if root.number != current.number + 1:
        raise SetupError(
            f"{path} is root {root.number}, but root {current.number} is in force in {network.folder}:"
            f" root {current.number + 1} is next"
        )
    state = signatures(root, current)
    if not state.enough:
        raise NotTrusted(
            f"root {root.number} has too few signatures: {state}. Keys that did not sign: {', '.join(state.missing)}."
            " Sign it with `fwchain root sign`"
        )
    try:
        run(current.check_next(root))
    except FwError as error:
        raise NotTrusted(str(error)) from error
    target = network.folder / "roots" / str(root.number)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(root.data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.link(name, target)  # fails where somebody was faster
    except FileExistsError:
        raise SetupError(f"{target} is there already: another root {root.number} was published") from None
    finally:
        os.unlink(name)
    return root


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    os.replace(new, path)


def facts(root: Root, before: Root | None = None) -> dict[str, Any]:
    """What a root says; with the one before it, what it changes and whose signatures it has."""

    def ids(keys: list[bytes]) -> list[str]:
        return [key_id(public).hex() for public in keys]

    state = signatures(root, before)
    row: dict[str, Any] = {
        "number": root.number,
        "expires": root.expires,
        "root_keys": ids(root.keys),
        "root_threshold": root.threshold,
        "vendor_keys": {model: ids(keys) for model, keys in root.vendors.items()},
        "vendor_threshold": root.vendor_threshold,
        "nodes": ids(root.nodes),
        "node_threshold": root.node_threshold,
        "enrolment_keys": ids(root.enrolment),
        "revoked": [one.hex() for one in root.revoked],
        "signed_by": [signer.hex() for signer, _ in root.signatures],
        "own_signatures": list(state.own),
        "signatures_of_the_one_before": list(state.before) if state.before else None,
    }
    return row
