"""A recall: a signed statement that one release is not to be installed any more (design: addition 13).

The vendor's threshold makes it for a release that turned out bad; the verification nodes' threshold makes the same
statement when a wave stopped by itself.
"""

from fwnode.trust import Untrusted, version
from fwnode.trust.document import BYTES, INT, LIST, check_signatures, count_signers, only, signed_hash, take, take_text
from fwnode.wire.bencode import decode_dict

MAX_RECALL = 2048
FIELDS = ("model", "version", "verifier", "issued", "sigs")


class Recall:
    """Model, version, verifier, time of issue; nothing is believed before `check`."""

    def __init__(self, data: bytes) -> None:
        """Parse; raises WireError naming field and limit."""
        where = "recall"
        body = decode_dict(data, where, MAX_RECALL)
        only(body, where, FIELDS)
        self.data = data
        self.model = take_text(body, where, "model", 1, 32)
        self.version = take_text(body, where, "version", 5, 17)
        self.version_key = version.parse(self.version)
        self.verifier = take(body, where, "verifier", BYTES, 32, 32)
        self.issued = take(body, where, "issued", INT, 0, 1 << 40)
        self.signatures = take(body, where, "sigs", LIST, 0, 16)
        check_signatures(self.signatures, where)
        del body["sigs"]
        self.signed = signed_hash("recall", body)

    def check(self, root):  # type: ignore[no-untyped-def]
        """Steps: whether the vendor recalled it (else the verification nodes did); raises Untrusted when neither."""
        vendors = root.vendor_keys(self.model)
        for keys, need in ((vendors, root.vendor_threshold), (root.nodes, root.node_threshold)):
            valid = yield from count_signers(self.signed, self.signatures, keys, root.revoked, need)
            if valid >= need:
                return keys is vendors
        raise Untrusted("unsigned", "recall {}: signed by too few of root {}".format(self.version, root.number))
