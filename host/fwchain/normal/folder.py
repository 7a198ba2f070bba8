"""The folder of a normal node, as `fwchain node FOLDER --network NETWORK` makes it.

fwchain.toml        configuration (fwchain.config); [normal] is read by such a node alone
genesis, roots/N    the network's, as in its own folder
state/              what a board keeps: nvs.json (key, certificate, floor), root, M of what is held
releases/           the bytes of what is held
node.db             the whole chain
events.jsonl        what happened (fwchain.events)
"""

from __future__ import annotations

import ipaddress
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fwchain import config as configuration
from fwchain import network as networks
from fwchain.board.virtual import loopback_address
from fwchain.config import Config
from fwchain.errors import NotTrusted, SetupError
from fwchain.flashing.provision import certify
from fwchain.network import Network
from fwchain.normal.held import Files, Held
from fwchain.normal.nvs import FileNvs
from fwchain.vendor import build, signing
from fwnode import crypto
from fwnode.compat import run
from fwnode.config import Config as NodeConfig
from fwnode.crypto import sha256
from fwnode.errors import FwError
from fwnode.update.boot import PENDING_M
from fwnode.update.keys import KeyStore
from fwnode.update.verify import verifier_steps

STATE = "state"
RELEASES = "releases"
NVS = "nvs.json"
UNUSED = ("node.publish_port", "node.seed_port", "node.seed_upload", "node.block_s")
CHUNK = 1 << 18


@dataclass
class Plan:
    """What making a node asks; what is left empty is the network's."""

    model: str = ""
    address: str = ""
    port: int = 4580
    release: Path | None = None  # M of the release that it holds from the start; the files lie beside it
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # any other value of fwchain.toml


class Folder:
    """A loaded node's folder: the network as it knows it, its keys and files."""

    def __init__(self, network: Network) -> None:
        """Open what is kept; raises SetupError or ConfigError."""
        self.path = network.folder
        self.network = network
        self.config = network.config
        self.keys = KeyStore(FileNvs(self.path / STATE / NVS))
        self.files = Files(self.path / STATE)
        self.held = Held(self.path / RELEASES, self.keys, self.files)
        self.node_config = NodeConfig(_node_values(network))

    @property
    def credential(self) -> tuple[str, bytes]:
        """How others know this node: ("cert", certificate), or ("pu", public key)."""
        certificate = self.keys.get("cert")
        return ("cert", certificate) if certificate else ("pu", self.keys.get("pk"))


def load(path: Path) -> Folder:
    """Load and check a node's folder; raises SetupError, ConfigError or another FwError."""
    if not path.exists():
        raise SetupError(f"{path}: there is no node yet: make one with `fwchain node {path} --network NETWORK`")
    if not (path / STATE / NVS).is_file():
        raise SetupError(f"{path} is no normal node's folder: make one with `fwchain node FOLDER --network NETWORK`")
    network = networks.load(path)
    folder = Folder(network)
    if folder.keys.get("genesis") != network.genesis.hash:
        raise NotTrusted(f"{path / 'genesis'} is another network's than this node was made for")
    return folder


def create(path: Path, network: Network, plan: Plan) -> Folder:
    """Make a node's folder, whole or not at all; raises SetupError, ConfigError, NotTrusted."""
    path = path.absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = "is a node already" if (path / STATE / NVS).exists() else "is there already and is not empty"
        raise SetupError(f"{path} {what}; give another folder, or remove it first")
    config = _config(path, network, plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        _fill(work, network, config, plan)
        load(work)
        work.chmod(0o755)
        if path.exists():
            path.rmdir()
        work.rename(path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return load(path)


def _config(path: Path, network: Network, plan: Plan) -> Config:
    """The node's configuration: the network's, with a place of its own."""
    theirs = network.config
    address = plan.address
    if not address:
        if not (theirs.address.startswith("127.") or theirs.address == "localhost"):
            raise SetupError("give --address: this machine's IPv4 address, at which others reach the node")
        digest = sha256(str(path).encode())  # as a virtual board has one of its own, by which others tell it
        address = loopback_address(b"\x02\x00\x00" + digest[:3])
    loopback = address.startswith("127.")
    node: dict[str, Any] = {"port": plan.port, "listen": address if loopback else "0.0.0.0"}
    if not loopback:
        node["address"] = address
    values: dict[str, dict[str, Any]] = {
        "node": node,
        "lan": dict(theirs["lan"]),
        "normal": {**theirs["normal"], "nodes": theirs["normal"]["nodes"] or theirs.url},
        "board": dict(theirs["board"]),
    }
    if plan.model:
        values["board"]["model"] = plan.model
    for section, changes in plan.settings.items():
        values.setdefault(section, {}).update(changes)
    config = Config(values)
    try:
        ipaddress.IPv4Address(config.address)
    except ValueError:
        raise SetupError(f"{config.address!r} is no IPv4 address: others must find this node at one") from None
    return config


def _node_values(network: Network) -> dict[str, object]:
    """What a board has in its config.json."""
    config = network.config
    normal, lan, board = config["normal"], config["lan"], config["board"]
    return {
        "network": network.name,
        "model": board["model"],
        "platform": normal["platform"],
        "nodes": config.urls("normal.nodes"),
        "port": config["node"]["port"],
        "group": lan["group"] if lan["join"] else "",
        "group_port": lan["port"],
        "check_s": board["check_s"],
        "retry_s": normal["retry_s"],
        "confirm_s": normal["confirm_s"],
        "upload_kbps": normal["upload_kbps"],
        "open": not network.genesis.certified,
    }


def _fill(path: Path, network: Network, config: Config, plan: Plan) -> None:
    for name in ("roots", STATE, RELEASES):
        (path / name).mkdir()
    (path / STATE).chmod(0o700)
    (path / "genesis").write_bytes(network.genesis.data)
    for root in network.roots:
        (path / "roots" / str(root.number)).write_bytes(root.data)
    (path / configuration.FILE).write_text(config.text(UNUSED))
    keys = KeyStore(FileNvs(path / STATE / NVS))
    private = run(keys.private_key(_new_key))
    public = crypto.public_key(private)
    keys.put("pk", public)
    keys.put("genesis", network.genesis.hash)
    if network.genesis.certified:
        keys.put("cert", certify(network, str(config["board"]["model"]), public))
    made = Folder(networks.load(path))
    made.files.write("genesis", network.genesis.data)
    made.files.write("root", network.root.data)
    if plan.release is not None:
        _hold(made, plan.release)


def _new_key() -> Any:
    yield
    return crypto.generate_key()


def _hold(folder: Folder, metadata: Path) -> None:
    """Let the node hold the release of this M, whose files lie beside it."""
    release = signing.read(metadata)
    signing.check(release, folder.network, int(time.time()))
    config = folder.node_config
    if (release.model, release.platform) != (config.model, config.platform):
        raise SetupError(
            f"{metadata} is for {release.model} on {release.platform}, this node is for "
            f"{config.model} on {config.platform}"
        )
    wrong = NotTrusted(f"the files beside {metadata} are not the ones that it was made of")
    paths = build.file_paths(release, metadata.parent)
    for path, (_, _, length) in zip(paths, release.files, strict=True):
        if not path.is_file():
            raise SetupError(f"{path}: there is no such file; the files of {metadata.name} lie beside it")
        if path.stat().st_size != length:
            raise wrong
    storage = folder.held.storage(release)
    at = 0
    for part in _stream(paths):
        storage.write(at, memoryview(part))
        at += len(part)
    if run(verifier_steps(storage, release.size)) != release.verifier:
        raise wrong
    folder.files.write(PENDING_M, release.metainfo)
    try:
        run(folder.held.hold(release))
    except FwError as error:
        raise SetupError(f"{folder.path}: {error}") from error


def _stream(paths: list[Path]) -> Iterator[bytes]:
    """The files one after the other, in whole chunks but for the last."""
    rest = b""
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(CHUNK - len(rest)):
                rest += part
                if len(rest) == CHUNK:
                    yield rest
                    rest = b""
    if rest:
        yield rest
