"""The trust root: a numbered, expiring document that says whose signatures count (design: addition 5).

Root 1 is believed because genesis holds its hash; root N+1 because the thresholds of root N and of itself signed it,
as in The Update Framework.
"""

from fwnode.crypto import sha256, steps
from fwnode.trust import Untrusted
from fwnode.trust.document import (
    DICT,
    INT,
    LIST,
    ascii_text,
    check_keys,
    check_signatures,
    count_signers,
    only,
    signed_hash,
    take,
)
from fwnode.wire import WireError
from fwnode.wire.bencode import decode_dict, encode
from fwnode.wire.message import key_id

MAX_ROOT = 8192
MAX_KEYS = 16
ANY_MODEL = "*"
FIELDS = (
    "number",
    "expires",
    "root-keys",
    "root-threshold",
    "vendor-keys",
    "vendor-threshold",
    "nodes",
    "node-threshold",
    "enrolment-keys",
    "revoked",
    "signatures",
)


class Root:
    """One trust root, parsed; nothing is believed before `check_first` or `check_next`."""

    def __init__(self, data: bytes) -> None:
        """Parse; raises WireError naming field and limit."""
        where = "root"
        body = decode_dict(data, where, MAX_ROOT)
        only(body, where, FIELDS)
        self.data = data
        self.number = take(body, where, "number", INT, 1, 1 << 31)
        self.expires = take(body, where, "expires", INT, 0, 1 << 40)
        self.keys = self._keys(body, "root-keys", 1)
        self.threshold = take(body, where, "root-threshold", INT, 1, len(self.keys))
        self.vendors = self._vendors(body)
        self.vendor_threshold = take(body, where, "vendor-threshold", INT, 1, MAX_KEYS)
        self.nodes = self._keys(body, "nodes", 1)
        self.node_threshold = take(body, where, "node-threshold", INT, 1, len(self.nodes))
        self.enrolment = self._keys(body, "enrolment-keys", 0)
        self.revoked = take(body, where, "revoked", LIST, 0, 128)
        for item in self.revoked:
            if not isinstance(item, bytes) or len(item) != 20:
                raise WireError("root: revoked: a key ID of 20 bytes expected")
        self.signatures = take(body, where, "signatures", LIST, 0, 2 * MAX_KEYS)
        check_signatures(self.signatures, where)
        del body["signatures"]
        self.signed = signed_hash("root", body)
        self.hash = sha256(self.signed)

    @staticmethod
    def _keys(body: dict, name: str, least: int) -> list:
        keys = take(body, "root", name, LIST, least, MAX_KEYS)
        check_keys(keys, "root", name)
        if len(set(keys)) != len(keys):
            raise WireError("root: {}: a key stands twice".format(name))
        return keys

    @staticmethod
    def _vendors(body: dict) -> dict:
        vendors = take(body, "root", "vendor-keys", DICT, 1, 64)
        for model, keys in vendors.items():
            ascii_text(model.encode(), "root", "vendor-keys")
            if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
                raise WireError("root: vendor-keys: {}: 1 to {} keys expected".format(model, MAX_KEYS))
            check_keys(keys, "root", "vendor-keys")
            if len(set(keys)) != len(keys):
                raise WireError("root: vendor-keys: {}: a key stands twice".format(model))
        return vendors

    def vendor_keys(self, model: str) -> list:
        """The vendor keys that may sign releases of `model`; those of every model when it has none of its own."""
        return self.vendors.get(model, self.vendors.get(ANY_MODEL, []))

    def node_key(self, node: bytes) -> bytes | None:
        """The public key of the verification node with this ID, unless unknown or revoked."""
        return self._find(self.nodes, node)

    def enrolment_key(self, signer: bytes) -> bytes | None:
        """The enrolment key with this key ID, unless unknown or revoked."""
        return self._find(self.enrolment, signer)

    def _find(self, keys: list, wanted: bytes) -> bytes | None:
        if wanted in self.revoked:
            return None
        for public in keys:
            if key_id(public) == wanted:
                return public
        return None

    def check_first(self, pinned: bytes) -> None:
        """Raise Untrusted unless this is root 1 with the hash that genesis pins."""
        if self.number != 1 or self.hash != pinned:
            raise Untrusted("root", "root: not the root 1 that genesis names")

    def check_next(self, new):  # type: ignore[no-untyped-def]
        """Steps: raise Untrusted unless `new` is the next root, signed by this root's threshold and by its own."""
        if new.number != self.number + 1:
            raise Untrusted("root", "root: number {} expected, got {}".format(self.number + 1, new.number))
        for root in (self, new):
            valid = yield from count_signers(new.signed, new.signatures, root.keys, [], root.threshold)
            if valid < root.threshold:
                raise Untrusted(
                    "root",
                    "root {}: {} of {} signatures of root {}".format(new.number, valid, root.threshold, root.number),
                )


def build(body: dict, privates: list):  # type: ignore[no-untyped-def]
    """Steps: the encoded root of `body` (all FIELDS but `signatures`), signed by each of `privates`."""
    signed = signed_hash("root", body)
    pairs = []
    for private in privates:
        signer = key_id((yield from steps.public_key(private)))
        pairs.append([signer, (yield from steps.sign_digest(private, signed))])
    whole = dict(body)
    whole["signatures"] = pairs
    data = encode(whole)
    Root(data)
    return data
