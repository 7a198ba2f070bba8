"""Taking one release on the host: a board's refusals that have a meaning here, storage to fill, then holding."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

from fwchain.normal.held import Held
from fwnode.update import Refused, StorageError
from fwnode.update.boot import PENDING_M
from fwnode.update.failures import Failures
from fwnode.update.image import chip_of
from fwnode.update.install import Install
from fwnode.update.verify import verifier_steps

SPARE = 16 << 20  # bytes of the file system that are left free


class Holding(Install):
    """An installation whose place is a folder; see `fwnode.update.install.Install`."""

    boot: Held

    def __init__(
        self, held: Held, release: Any, model: str, platform: str, now: int | None = None, uptime_s: int = 0
    ) -> None:
        self.boot = held
        self.release = release
        self.slot = None
        self._failures = Failures(held.keys)
        self._refuse(model, platform, now, uptime_s)
        room = os.statvfs(os.path.dirname(held.root))
        if release.size + SPARE > room.f_bavail * room.f_frsize:
            raise Refused("space", f"{release.size} bytes more, free {room.f_bavail * room.f_frsize}")
        if held.files.read(PENDING_M) != release.metainfo:
            held.files.write(PENDING_M, release.metainfo)
        self.storage = held.storage(release, chip_of(platform))

    @property
    def place(self) -> str:
        """Where the release goes: the name of its folder."""
        return os.path.basename(self.storage.folder)

    def finish(self) -> Generator[None, None, None]:
        """Steps: read back and hash all of it, then hold it; raises StorageError when it is not what was signed."""
        digest = yield from verifier_steps(self.storage, self.release.size)
        if digest != self.release.verifier:
            raise StorageError("read back: not what the release's verifier says")
        yield from self.boot.hold(self.release)
