"""Whom this board trusts and who it is, as provisioning left it: genesis, trust root, key and certificate."""

from fwnode import crypto
from fwnode.chain.genesis import Genesis
from fwnode.compat import drive
from fwnode.crypto import steps
from fwnode.roles.identity import Identity
from fwnode.settings import ConfigError
from fwnode.trust.root import Root

ROOT = "root"
GENESIS = "genesis"


class Credentials:
    """`genesis` (Genesis), `root` (Root) and `me` (Identity) of `node`; `await read()` first."""

    def __init__(self, node) -> None:  # type: ignore[no-untyped-def]
        self.node = node
        self.genesis: Genesis
        self.root: Root
        self.me: Identity

    async def read(self) -> "Credentials":
        """Read them from flash; raises FwError where a document is missing or wrong."""
        files, keys = self.node.boot.files, self.node.boot.keys
        raw, pinned = files.read(GENESIS), keys.get("genesis")
        if raw is None or pinned is None:
            raise ConfigError("no genesis: this board is not provisioned")
        self.genesis = Genesis(raw, pinned)
        raw = files.read(ROOT)
        if raw is None:
            raise ConfigError("no trust root: this board is not provisioned")
        self.root = Root(raw)
        if self.root.number == 1:
            self.root.check_first(self.genesis.root_hash)
        self.me = await self._identity(keys)
        return self

    async def _identity(self, keys) -> Identity:  # type: ignore[no-untyped-def]
        config = self.node.config

        def generate():  # type: ignore[no-untyped-def]
            yield
            return crypto.generate_key()

        private = await drive(keys.private_key(generate))
        public = keys.get("pk")
        if public is None:
            public = await drive(steps.public_key(private))
            keys.put("pk", public)
        certificate = keys.get("cert")
        if certificate is None and not config.open:
            raise ConfigError("no certificate: this board is not provisioned")
        credential = ("cert", certificate) if certificate else ("pu", public)
        return Identity(private, public, credential, config.model, self.genesis.net, config.port)
