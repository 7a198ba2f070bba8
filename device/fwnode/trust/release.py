"""A release: the metadata file M, a BitTorrent metainfo (v1) that also carries the vendor's signed statement.

``info`` is what BitTorrent clients read; ``release`` is what the vendor signs, and binds ``info`` by its SHA-256;
``release-sigs`` are the signatures. Only URLs that stand in ``release`` are used.
"""

import hashlib

from fwnode.trust import Untrusted, version
from fwnode.trust.contents import Contents
from fwnode.trust.document import (
    BYTES,
    DICT,
    INT,
    LIST,
    ascii_text,
    check_signatures,
    count_signers,
    only,
    signed_hash,
    take,
    take_text,
)
from fwnode.wire import WireError
from fwnode.wire.bencode import decode_dict, put
from fwnode.wire.fields import MAX_METAINFO
from fwnode.wire.message import digest

SLOT = "slot"
MAX_FILES = 16
MAX_URLS = 8
RELEASE_FIELDS = (
    "model",
    "platform",
    "version",
    "files",
    "size",
    "verifier",
    "info",
    "trackers",
    "web-seeds",
    "epoch",
    "issued",
    "expires",
    "rollout",
)


class Release(Contents):
    """One firmware version of one model, parsed from M; nothing is believed before `check`."""

    def __init__(self, metainfo: bytes) -> None:
        """Parse M (at most 8 KiB); raises WireError naming field and limit."""
        whole = decode_dict(metainfo, "M", MAX_METAINFO)
        self.metainfo = metainfo
        self.body = take(whole, "M", "release", DICT, 1, 32)
        self.signatures = take(whole, "M", "release-sigs", LIST, 0, 32)
        check_signatures(self.signatures, "M")
        self._statement(self.body)
        info = take(whole, "M", "info", DICT, 1, 8)
        if digest(b"", info) != self.info_sha256:
            raise WireError("M: info: its SHA-256 is not the one in release")
        info_hash = hashlib.sha1()
        put(info, info_hash.update)
        self.info_hash = info_hash.digest()
        self._info(info)

    def _statement(self, body: dict) -> None:
        where = "release"
        only(body, where, RELEASE_FIELDS)
        self.model = take_text(body, where, "model", 1, 32)
        self.platform = take_text(body, where, "platform", 1, 16)
        self.version = take_text(body, where, "version", 5, 17)
        self.version_key = version.parse(self.version)
        self.size = take(body, where, "size", INT, 1, 1 << 30)
        self.verifier = take(body, where, "verifier", BYTES, 32, 32)
        self.info_sha256 = take(body, where, "info", BYTES, 32, 32)
        self.trackers = _urls(body, "trackers")
        self.web_seeds = _urls(body, "web-seeds")
        self.epoch = take(body, where, "epoch", INT, 0, (1 << 31) - 1)
        self.issued = take(body, where, "issued", INT, 0, 1 << 40)
        self.expires = take(body, where, "expires", INT, self.issued, 1 << 40)
        self.files = _files(take(body, where, "files", LIST, 1, MAX_FILES), self.size)
        self.rollout = _rollout(body["rollout"]) if "rollout" in body else None

    def _info(self, info: dict) -> None:
        where = "info"
        self.piece_length = take(info, where, "piece length", INT, 16384, 1 << 20)
        if self.piece_length & (self.piece_length - 1):
            raise WireError("info: piece length: {} is no power of two".format(self.piece_length))
        self.piece_count = (self.size + self.piece_length - 1) // self.piece_length
        self.pieces = take(info, where, "pieces", BYTES, 20 * self.piece_count, 20 * self.piece_count)
        self.name = take_text(info, where, "name", 1, 80)
        self.private = info.get("private") == 1
        if info != info_dict(self.name, self.files, self.size, self.piece_length, self.pieces, self.private):
            raise WireError("info: its files are not those of release")

    def check(self, root, now, public=None):  # type: ignore[no-untyped-def]
        """Steps: raise Untrusted unless the root's threshold of vendor keys signed it and it has not expired.

        Without `now` neither its expiry nor the root's is looked at. With `public`, the rollout must have reached the
        board with that key.
        """
        if public is not None and not self.offered(public, now):
            raise Untrusted("wave", "release {}: its rollout has not reached this board".format(self.version))
        if now is not None and now > self.expires:
            raise Untrusted("expired", "release {}: expired at {}, now {}".format(self.version, self.expires, now))
        if now is not None and now > root.expires:
            raise Untrusted("expired", "trust root {}: expired at {}, now {}".format(root.number, root.expires, now))
        keys = root.vendor_keys(self.model)
        need = root.vendor_threshold
        valid = yield from count_signers(signed_hash("release", self.body), self.signatures, keys, root.revoked, need)
        if valid < need:
            raise Untrusted(
                "unsigned",
                "release {}: {} of {} vendor signatures for model {}".format(self.version, valid, need, self.model),
            )


def _urls(body: dict, name: str) -> list:
    urls = []
    for raw in take(body, "release", name, LIST, 0, MAX_URLS):
        url = ascii_text(raw, "release", name)
        if len(url) > 200 or not url.startswith(("http://", "https://", "udp://")):
            raise WireError("release: {}: {!r} is no URL of at most 200 bytes".format(name, url[:40]))
        urls.append(url)
    return urls


def _files(rows: list, size: int) -> list:
    files = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 3 or not isinstance(row[2], int) or row[2] < 1:
            raise WireError("release: files: [name, target, length] expected")
        name = check_path(ascii_text(row[0], "release", "files"))
        target = ascii_text(row[1], "release", "files")
        if target != SLOT:
            check_path(target)
        files.append((name, target, row[2]))
    if sum(length for _, _, length in files) != size:
        raise WireError("release: size: {} is not the sum of its files".format(size))
    for column, what in ((0, "name"), (1, "target")):
        if len({row[column] for row in files}) != len(files):
            raise WireError("release: files: a {} stands twice".format(what))
    slots = [index for index, row in enumerate(files) if row[1] == SLOT]
    if slots and slots != [0]:
        raise WireError("release: files: the slot image is the first file")
    return files


def check_path(path: str) -> str:
    """`path` when it is relative, of at most 64 bytes, and stays in its folder; raises WireError."""
    parts = path.split("/")
    if not path or len(path) > 64 or any(part in ("", ".", "..") for part in parts):
        raise WireError("release: files: path {!r} is not relative, plain and at most 64 bytes".format(path[:72]))
    return path


def _rollout(row: object) -> tuple:
    """(start in seconds since 1970, [(permille, seconds after start)]), the steps rising to 1000."""
    if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], int) or not isinstance(row[1], list):
        raise WireError("release: rollout: [start, steps] expected")
    steps_ = []
    last = (0, -1)
    for step in row[1]:
        if not isinstance(step, list) or len(step) != 2 or not all(isinstance(n, int) for n in step):
            raise WireError("release: rollout: [permille, seconds] expected")
        if not (last[0] < step[0] <= 1000 and last[1] < step[1]):
            raise WireError("release: rollout: steps rise, permille to 1000 at most")
        last = (step[0], step[1])
        steps_.append(last)
    if not steps_ or len(steps_) > 16:
        raise WireError("release: rollout: 1 to 16 steps expected")
    return row[0], steps_


def info_dict(name: str, files: list, size: int, piece_length: int, pieces: bytes, private: bool) -> dict:
    """The v1 info dictionary; its single-file form when there is one file."""
    info = {"name": name.encode(), "piece length": piece_length, "pieces": pieces}
    if len(files) == 1:
        info["length"] = size
    else:
        info["files"] = [
            {"length": length, "path": [part.encode() for part in path.split("/")]} for path, _, length in files
        ]
    if private:
        info["private"] = 1
    return info
