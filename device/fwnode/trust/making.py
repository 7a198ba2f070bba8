"""Making M (fwnode.trust.release): the vendor's side, which a board does without."""

import hashlib

from fwnode.crypto import steps
from fwnode.trust.document import signed_hash
from fwnode.trust.release import Release, info_dict
from fwnode.wire.bencode import decode_dict, encode
from fwnode.wire.fields import MAX_METAINFO
from fwnode.wire.message import digest, key_id

PIECE_LENGTH = 32768


class Builder:
    """Makes M from a byte stream: feed the files' bytes in order, then take `statement` and `metainfo`."""

    def __init__(self, piece_length: int = PIECE_LENGTH) -> None:
        self.piece_length = piece_length
        self._whole = hashlib.sha256()
        self._piece = hashlib.sha1()
        self._pieces = bytearray()
        self._size = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        view = memoryview(data)
        while view:
            room = self.piece_length - self._size % self.piece_length
            part = view[:room]
            self._whole.update(part)
            self._piece.update(part)
            self._size += len(part)
            if len(part) == room:
                self._end_piece()
            view = view[room:]

    def _end_piece(self) -> None:
        self._pieces += self._piece.digest()
        self._piece = hashlib.sha1()

    def finish(self, statement: dict, files: list, private: bool = False) -> bytes:
        """The unsigned M; `statement` has model, platform, version, trackers, web-seeds, epoch, issued, expires
        (and rollout); `files` is a list of (name, target, length) in the stream's order."""
        if self._size % self.piece_length:
            self._end_piece()
        name = files[0][0] if len(files) == 1 else statement["model"] + "-" + statement["version"]
        info = info_dict(name, files, self._size, self.piece_length, bytes(self._pieces), private)
        body = dict(statement)
        body["files"] = [list(row) for row in files]
        body["size"] = self._size
        body["verifier"] = self._whole.digest()
        body["info"] = digest(b"", info)
        whole = {"info": info, "release": body, "release-sigs": []}
        if statement["trackers"]:
            whole["announce"] = statement["trackers"][0]
        if statement["web-seeds"]:
            whole["url-list"] = statement["web-seeds"]
        metainfo = encode(whole)
        Release(metainfo)
        return metainfo


def sign(metainfo: bytes, vendor_private: bytes):  # type: ignore[no-untyped-def]
    """Steps: M with the signature of one more vendor key (the same key's earlier one replaced)."""
    release = Release(metainfo)
    signer = key_id((yield from steps.public_key(vendor_private)))
    signature = yield from steps.sign_digest(vendor_private, signed_hash("release", release.body))
    whole = decode_dict(metainfo, "M", MAX_METAINFO)
    kept = [pair for pair in release.signatures if pair[0] != signer]
    whole["release-sigs"] = sorted(kept + [[signer, signature]])
    signed = encode(whole)
    Release(signed)
    return signed
