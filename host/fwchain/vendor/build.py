"""Making M, the metadata of a release, from its files; their layout is `fwnode.trust.release`'s alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fwchain.errors import HostError
from fwnode.compat import run
from fwnode.trust import making
from fwnode.trust.release import SLOT, Release
from fwnode.update import ImageError, image, imagecheck

CHUNK = 1 << 20
DAY_S = 86400
ROMFS_AT = 0x120  # where an image for the virtual board has its ROMFS
ROMFS_MAGIC = b"\xd2\xcd\x31"


class BuildError(HostError):
    """The files make no release."""


@dataclass
class Statement:
    """What a release says besides its files; times in seconds since 1970, rollout as fwnode.trust.release has it."""

    model: str
    platform: str
    version: str
    issued: int
    expires: int
    epoch: int = 0
    node_url: str = ""
    trackers: list[str] = field(default_factory=list)
    web_seeds: list[str] = field(default_factory=list)
    rollout: tuple[int, list[tuple[int, int]]] | None = None
    private: bool = False


def check_image(data: bytes, platform: str, slot_size: int | None = None) -> image.Image:
    """Judge an application image as a board will, and its checksum and digest too; raises BuildError.

    `slot_size` in bytes: the room that it must fit into.
    """

    def readinto(offset: int, buf: Any) -> None:
        buf[:] = data[offset : offset + len(buf)]

    try:
        found = image.measure(readinto, len(data), image.chip_of(platform))
        run(imagecheck.check_steps(readinto, found))
    except ImageError as error:
        raise BuildError(str(error)) from error
    if found.length != len(data):
        raise BuildError(f"image: {len(data)} bytes, but its headers say {found.length}: cut it to that length")
    virtual = data[ROMFS_AT : ROMFS_AT + len(ROMFS_MAGIC)] == ROMFS_MAGIC
    if virtual != (platform == "virtual"):
        made_for = "for the virtual board" if virtual else "for a real chip"
        raise BuildError(f"image: it is {made_for}, the release is for platform {platform}")
    if slot_size is not None and found.length > slot_size:
        raise BuildError(f"image: {found.length} bytes, a slot of platform {platform} has {slot_size}")
    return found


def slot_size(platform: str) -> int | None:
    """The size of the smallest app slot among the boards of a platform; None when none is known."""
    from fwchain.board import boards

    known = [board for board in map(boards.load, boards.names()) if board.platform == platform]
    return min((slot.size for board in known for slot in board.table.ota_slots), default=None)


def metainfo(statement: Statement, files: list[tuple[str, str, bytes]]) -> bytes:
    """The unsigned M of `files` (name, target, content) in the stream's order; raises WireError or BuildError.

    The node's tracker and web seed are added when `statement.node_url` is given. A web seed's address holds the
    info-hash, which does not depend on it: so M is made twice.
    """
    for name, target, content in files:
        if not content:
            raise BuildError(f"{name} is empty")
        if target == SLOT:
            check_image(content, statement.platform, slot_size(statement.platform))
    body: dict[str, Any] = {
        "model": statement.model,
        "platform": statement.platform,
        "version": statement.version,
        "trackers": list(statement.trackers),
        "web-seeds": list(statement.web_seeds),
        "epoch": statement.epoch,
        "issued": statement.issued,
        "expires": statement.expires,
    }
    if statement.rollout is not None:
        start, steps = statement.rollout
        body["rollout"] = [start, [list(step) for step in steps]]
    rows = [(name, target, len(content)) for name, target, content in files]
    made = _builder(files).finish(body, rows, statement.private)
    if not statement.node_url:
        return made
    body["trackers"].insert(0, f"{statement.node_url}/announce")
    body["web-seeds"].append(f"{statement.node_url}/firmware/{Release(made).info_hash.hex()}/")
    return _builder(files).finish(body, rows, statement.private)


def _builder(files: list[tuple[str, str, bytes]]) -> making.Builder:
    builder = making.Builder()
    for _, _, content in files:
        for at in range(0, len(content), CHUNK):
            builder.update(content[at : at + CHUNK])
    return builder


def default_name(model: str, version: str) -> str:
    """Name of a release's image; M has the same with .torrent, since it is a file that any BitTorrent client opens."""
    return f"{model}-{version}.bin"


def file_paths(release: Release, folder: Path) -> list[Path]:
    """Where the release's files lie on the vendor's machine: by their names, beside M."""
    return [folder / name for name, _, _ in release.files]
