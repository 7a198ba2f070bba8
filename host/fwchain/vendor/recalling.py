"""A recall, made of M and signed with vendor keys: needs both and no network, like signing M."""

from __future__ import annotations

import os
from pathlib import Path

from fwchain import keyfile
from fwchain.errors import NotTrusted, SetupError
from fwchain.network import Network
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import Untrusted, issue
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release
from fwnode.wire import WireError


def path_of(metadata: Path) -> Path:
    """Where the recall of the release in `metadata` is kept: beside M."""
    return metadata.with_suffix(".recall")


def sign(release: Release, path: Path, keys: list[Path], network: Network | None, now: int) -> Recall:
    """The recall in `path` (made there when it is new) with each key's signature; raises SetupError or NotTrusted.

    With a network folder at hand, a key that its trust root does not name for the model is refused.
    """
    data = path.read_bytes() if path.exists() else None
    try:
        statement = Recall(data or issue.recall(release.model, release.version, release.verifier, now))
    except WireError as error:
        raise SetupError(f"{path} is no recall: {error}") from error
    if statement.verifier != release.verifier:
        raise SetupError(f"{path} recalls {statement.model} {statement.version} with another verifier: give --out")
    for key in keys:
        private = keyfile.load(key)
        if network and crypto.public_key(private) not in network.root.vendor_keys(release.model):
            raise NotTrusted(
                f"{key} is the wrong key: root {network.root.number} of network {network.name} does not name it"
                f" as a vendor key for model {release.model}"
            )
        statement = Recall(run(issue.sign_recall(statement.data, private)))
    new = path.with_name(path.name + ".new")
    new.write_bytes(statement.data)
    os.replace(new, path)
    return statement


def counts(statement: Recall, network: Network) -> bool:
    """Whether the network's trust root accepts the recall as the vendor's."""
    try:
        return bool(run(statement.check(network.root)))
    except Untrusted:
        return False
