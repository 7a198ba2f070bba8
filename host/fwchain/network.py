"""The network folder that `fwchain init` makes and everything else loads.

fwchain.toml        configuration (fwchain.config)
genesis             block 0; its hash names the network
roots/N             trust root N
keys/root*.pem      root keys          take these off this machine when the network is real
keys/vendor*.pem    vendor keys        sign releases; belong on the vendor's machine
keys/enrolment.pem  enrolment key      certifies boards
keys/node.pem       verification node  signs its messages and blocks
tls/vendor.crt, tls/node.crt           the two certificates of the publishing channel
events.jsonl        what happened      (fwchain.events)
node.db, releases/  what the verification node keeps
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fwchain import config as configuration
from fwchain import files, keyfile, tls
from fwchain.config import Config
from fwchain.errors import SetupError
from fwnode import crypto
from fwnode.chain import genesis as genesis_
from fwnode.chain.genesis import Genesis
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.trust import root as root_
from fwnode.trust.root import ANY_MODEL, Root
from fwnode.wire.message import key_id

YEAR_S = 365 * 24 * 3600
ROOT_YEARS = 10


@dataclass
class Plan:
    """What `fwchain init` asks; every answer has a default."""

    name: str = "home"
    config: Config = field(default_factory=Config)
    difficulty: int = genesis_.DIFFICULTY
    confirmations: int = genesis_.CONFIRMATIONS
    certified: bool = True
    root_keys: int = 1
    root_threshold: int = 1
    vendor_keys: int = 1
    vendor_threshold: int = 1


class Network:
    """A loaded network folder."""

    def __init__(self, folder: Path, config: Config, genesis: Genesis, roots: list[Root]) -> None:
        self.folder = folder
        self.config = config
        self.genesis = genesis
        self.roots = roots

    @property
    def name(self) -> str:
        """The network's name, from genesis."""
        return str(self.genesis.name)

    @property
    def root(self) -> Root:
        """The current trust root."""
        return self.roots[-1]

    @property
    def events(self) -> Path:
        """The event log."""
        return self.folder / "events.jsonl"

    @property
    def releases(self) -> Path:
        """Where the verification node keeps the bytes of releases."""
        return self.folder / "releases"

    @property
    def publish_url(self) -> str:
        """Where vendors publish."""
        return f"https://{self.config.host}:{self.config['node']['publish_port']}"

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the store; a relative SQLite path is taken from this folder."""
        url = str(self.config["node"]["database"])
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return prefix + str((self.folder / url[len(prefix) :]).absolute())
        return url

    def add_roots(self, roots: list[bytes]) -> None:
        """Keep the trust roots (1 to the newest, each checked against the one before) that are not here yet."""
        for number in range(len(self.roots) + 1, len(roots) + 1):
            path = self.folder / "roots" / str(number)
            new = path.with_name(path.name + ".new")
            new.write_bytes(roots[number - 1])
            os.replace(new, path)
            self.roots.append(Root(roots[number - 1]))

    def key_files(self, kind: str) -> list[Path]:
        """The key files of a kind (root, vendor, enrolment, node), in order; raises SetupError when there is none."""
        found = sorted((self.folder / "keys").glob(f"{kind}*.pem"))
        if not found:
            raise SetupError(f"{self.folder}: the {kind} key is not here; put it into {self.folder / 'keys'}")
        return found

    def private(self, kind: str) -> bytes:
        """The (first) private key of a kind, 32 bytes; raises SetupError."""
        return keyfile.load(self.key_files(kind)[0])

    def server_tls(self) -> ssl.SSLContext:
        """The node's side of the publishing channel; a key that the trust root revokes opens it to nobody."""
        folder = self.folder / "tls"
        return tls.server(
            folder / "node.crt",
            self.key_files("node")[0],
            folder / "vendor.crt",
            lambda public: key_id(public) in self.root.revoked,
        )

    def take_roots(self) -> None:
        """Take the trust roots that came into the folder since; takes none, and raises SetupError, if one is wrong."""
        self.roots = _roots(self.folder / "roots", self.genesis, self.roots)


def load(folder: Path | str) -> Network:
    """Load and check a network folder; raises SetupError, ConfigError, WireError, ChainError or Untrusted."""
    folder = Path(folder)
    if not (folder / "genesis").is_file():
        if not folder.exists():
            raise SetupError(f"{folder}: there is no network yet: make one with `fwchain init {folder}`")
        raise SetupError(f"{folder} is no network folder (it has no genesis): make one with `fwchain init`")
    config = configuration.load(folder / configuration.FILE)
    genesis = Genesis((folder / "genesis").read_bytes())
    return Network(folder, config, genesis, _roots(folder / "roots", genesis))


def _roots(folder: Path, genesis: Genesis, known: Sequence[Root] = ()) -> list[Root]:
    roots = list(known)
    while (folder / str(len(roots) + 1)).is_file():
        path = folder / str(len(roots) + 1)
        try:
            root = Root(path.read_bytes())
            if roots:
                run(roots[-1].check_next(root))
            else:
                root.check_first(genesis.root_hash)
        except FwError as error:
            raise SetupError(f"{path}: {error}") from error
        roots.append(root)
    if not roots:
        raise SetupError(f"{folder / '1'}: trust root 1 is missing")
    return roots


def create(folder: Path | str, plan: Plan, now: int | None = None) -> Network:
    """Make a network folder, whole or not at all; raises SetupError when there is something in its place."""
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is a network already" if (folder / "genesis").exists() else "is there already and is not empty"
        raise SetupError(f"{folder} {what}; give another folder, or remove it first")
    for name, threshold, keys in (
        ("root-threshold", plan.root_threshold, plan.root_keys),
        ("vendor-threshold", plan.vendor_threshold, plan.vendor_keys),
    ):
        if not 1 <= threshold <= keys <= root_.MAX_KEYS:
            raise SetupError(f"{name}: {threshold} of {keys} keys; 1 <= threshold <= keys <= {root_.MAX_KEYS}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        with files.named(folder):
            _fill(work, plan, int(time.time()) if now is None else now)
        load(work)
        work.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return load(folder)


def _fill(folder: Path, plan: Plan, now: int) -> None:
    for name in ("keys", "tls", "roots"):
        (folder / name).mkdir()
    os.chmod(folder / "keys", 0o700)
    roots = _make_keys(folder, "root", plan.root_keys)
    vendors = _make_keys(folder, "vendor", plan.vendor_keys)
    (enrolment,) = _make_keys(folder, "enrolment", 1)
    (node,) = _make_keys(folder, "node", 1)
    body = {
        "number": 1,
        "expires": now + ROOT_YEARS * YEAR_S,
        "root-keys": [crypto.public_key(key) for key in roots],
        "root-threshold": plan.root_threshold,
        "vendor-keys": {ANY_MODEL: [crypto.public_key(key) for key in vendors]},
        "vendor-threshold": plan.vendor_threshold,
        "nodes": [crypto.public_key(node)],
        "node-threshold": 1,
        "enrolment-keys": [crypto.public_key(enrolment), crypto.public_key(node)],  # the node's: it renews
        "revoked": [],
    }
    data = run(root_.build(body, roots))
    (folder / "roots" / "1").write_bytes(data)
    block = genesis_.build(
        plan.name,
        Root(data).hash,
        now,
        difficulty=plan.difficulty,
        confirmations=plan.confirmations,
        certified=plan.certified,
    )
    (folder / "genesis").write_bytes(block)
    address = plan.config.address
    vendor_certificates = [tls.certificate(key, f"{plan.name} vendor", address, now) for key in vendors]
    (folder / "tls" / "vendor.crt").write_bytes(b"".join(vendor_certificates))
    (folder / "tls" / "node.crt").write_bytes(tls.certificate(node, f"{plan.name} node", address, now))
    (folder / configuration.FILE).write_text(plan.config.text())


def _make_keys(folder: Path, kind: str, count: int) -> list[bytes]:
    keys = [crypto.generate_key() for _ in range(count)]
    for number, key in enumerate(keys, 1):
        name = kind if count == 1 else f"{kind}-{number}"
        keyfile.save(folder / "keys" / f"{name}.pem", key)
    return keys
