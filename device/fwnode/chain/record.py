"""The release record of a block: ``release`` with ``release-sigs``, as M has them; one leaf of the merkle tree."""

from fwnode.chain import ChainError
from fwnode.compat import const
from fwnode.trust.document import (
    BYTES,
    DICT,
    INT,
    LIST,
    check_signatures,
    count_signers,
    only,
    signed_hash,
    take,
    take_text,
)
from fwnode.wire import WireError
from fwnode.wire.bencode import decode_dict, encode

_MAX_RELEASE = const(6144)  # bytes of one encoded release record


class ReleaseRecord:
    """A block's announcement of a release: the vendor's statement and signatures, without `info`."""

    def __init__(self, data: bytes) -> None:
        """Parse the encoded record; raises ChainError or WireError."""
        if len(data) > _MAX_RELEASE:
            raise ChainError("release", "{} bytes, limit {}".format(len(data), _MAX_RELEASE))
        whole = decode_dict(data, "release record", _MAX_RELEASE)
        only(whole, "release record", ("t", "release", "release-sigs"))
        if whole.get("t") != b"release":
            raise ChainError("release", "a release record expected")
        self.data = data
        self.body = take(whole, "release record", "release", DICT, 1, 32)
        self.signatures = take(whole, "release record", "release-sigs", LIST, 0, 32)
        check_signatures(self.signatures, "release record")
        self.model = take_text(self.body, "release", "model", 1, 32)
        self.version = take_text(self.body, "release", "version", 5, 17)
        self.verifier = take(self.body, "release", "verifier", BYTES, 32, 32)
        self.epoch = take(self.body, "release", "epoch", INT, 0, (1 << 31) - 1)

    def check(self, root):  # type: ignore[no-untyped-def]
        """Steps: raise ChainError unless the root's threshold of vendor keys signed the statement."""
        need = root.vendor_threshold
        valid = yield from count_signers(
            signed_hash("release", self.body),
            self.signatures,
            root.vendor_keys(self.model),
            root.revoked,
            need,
        )
        if valid < need:
            raise ChainError("release-sigs", "{} of {} vendor signatures for {}".format(valid, need, self.model))


def release_record(metainfo: bytes) -> bytes:
    """The encoded release record of M (the signed metainfo); raises WireError."""
    whole = decode_dict(metainfo, "M", 8192)
    for name in ("release", "release-sigs"):
        if name not in whole:
            raise WireError("M: field {} is missing".format(name))
    return encode({"t": "release", "release": whole["release"], "release-sigs": whole["release-sigs"]})
