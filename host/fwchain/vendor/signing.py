"""Signing M with vendor keys: needs the key file and M, no network and no network folder."""

from __future__ import annotations

from pathlib import Path

from fwchain import files, keyfile
from fwchain.errors import NotTrusted, SetupError
from fwchain.network import Network
from fwnode import crypto
from fwnode.compat import run
from fwnode.trust import Untrusted, making
from fwnode.trust.release import Release
from fwnode.wire import WireError


def read(path: Path) -> Release:
    """The release in an M file; raises SetupError."""
    try:
        return Release(path.read_bytes())
    except FileNotFoundError:
        raise SetupError(f"{path}: there is no such file") from None
    except WireError as error:
        raise SetupError(f"{path} is no release of fwchain: {error}") from error


def sign(path: Path, keys: list[Path], network: Network | None = None) -> Release:
    """Add each key's signature to the M file `path`; raises SetupError or NotTrusted.

    With a network folder at hand, a key that its trust root does not name for the model is refused.
    """
    release = read(path)
    for key in keys:
        private = keyfile.load(key)
        if network and crypto.public_key(private) not in network.root.vendor_keys(release.model):
            raise NotTrusted(
                f"{key} is the wrong key: root {network.root.number} of network {network.name} does not name it"
                f" as a vendor key for model {release.model}"
            )
        release = Release(run(making.sign(release.metainfo, private)))
    files.replace(path, release.metainfo)
    return release


def check(release: Release, network: Network, now: int) -> None:
    """Raise NotTrusted, saying what to do, unless the network's trust root accepts the release at `now`."""
    if not release.signatures:
        raise not_signed(release)
    try:
        run(release.check(network.root, now))
    except Untrusted as error:
        raise NotTrusted(str(error)) from error


def not_signed(release: Release) -> NotTrusted:
    """The error of a release without any signature."""
    return NotTrusted(f"release {release.model} {release.version} is not signed: sign it with `fwchain release sign`")
