"""Installing one release: every refusal before the first erase, then storage to fill, then the switch."""

import os

from fwnode.compat import const
from fwnode.update import ImageError, Refused, SlotError, StorageError, otadata
from fwnode.update.boot import PENDING_M, Boot
from fwnode.update.failures import Failures
from fwnode.update.image import chip_of
from fwnode.update.recalls import recalled
from fwnode.update.slots import SECTOR
from fwnode.update.storage import Storage
from fwnode.update.stream import folder_of
from fwnode.update.trial import arm, below_floor, clean, version_key
from fwnode.update.verify import verifier_steps

_SPARE = const(16384)  # bytes of the file system that path files leave free


class Install:
    """One installation. The constructor refuses what must not be installed, and writes `pending.m` alone.

    `release` has passed its signature check. `now` is None where no time is known; `uptime_s` counts from
    this boot. Raises Refused with one of the reasons trial, model, platform, epoch, version, same,
    recalled, wave, failed, wait, pieces, size, folders, kind, space. `storage` is what the download fills.
    """

    def __init__(  # type: ignore[no-untyped-def]
        self, boot: Boot, release, model: str, platform: str, now=None, uptime_s: int = 0
    ) -> None:
        self.boot = boot
        self.release = release
        self._failures = Failures(boot.keys)
        self._refuse(model, platform, now, uptime_s)
        self.slot = None
        if release.slot_size:
            self.slot = boot.slots.target
            if release.slot_size > self.slot.size:
                raise Refused("size", "image of {} bytes, slot of {}".format(release.slot_size, self.slot.size))
        elif not boot.keys.get("fold"):
            raise Refused("folders", "a release of files alone needs fwchain's boot.py: deploy it by cable")
        if (release.slot_size == 0) != (boot.place[0] == "/") and boot.record:
            raise Refused("kind", "this board runs {}: a release of that kind only".format(boot.place))
        if boot.genuine:  # what earlier, abandoned installations left
            clean(boot, [boot.verifier, release.verifier])
        self._check_space()
        if boot.files.read(PENDING_M) != release.metainfo:
            boot.files.write(PENDING_M, release.metainfo)
        self.storage = Storage(release, self.slot, boot.root, chip_of(platform))

    def _refuse(self, model: str, platform: str, now, uptime_s: int) -> None:  # type: ignore[no-untyped-def]
        """Raise Refused for what this node installs wherever it would go."""
        boot = self.boot
        release = self.release
        if boot.trial:
            raise Refused("trial", "{} is unconfirmed: the other slot is its way back".format(boot.version))
        if release.model != model:
            raise Refused("model", "release is for {}, this board is {}".format(release.model, model))
        if release.platform != platform:
            raise Refused("platform", "release is for {}, this board is {}".format(release.platform, platform))
        self._check_version(now)
        blocked = self._failures.blocked(release.verifier, now, uptime_s)
        if blocked:
            text = "release {} failed here".format(release.version)
            if blocked[1] is not None:
                text += ": again in {} s".format(blocked[1])
            raise Refused(blocked[0], text)
        if release.piece_length % SECTOR:
            raise Refused("pieces", "piece length {}: no multiple of {}".format(release.piece_length, SECTOR))

    def _check_version(self, now) -> None:  # type: ignore[no-untyped-def]
        """No rollback (design, addition 3), nothing recalled, nothing before its wave (13), however it came here."""
        release = self.release
        running = version_key(self.boot.version)
        below = below_floor(self.boot.keys, release.epoch, release.version_key)
        if below or release.version_key < running:
            raise Refused(
                below or "version",
                "release {}, epoch {}, is older than this board's".format(release.version, release.epoch),
            )
        if release.version_key == running:
            if release.verifier == self.boot.verifier:
                raise Refused("same", "release {} runs already".format(release.version))
            return  # a repair: what runs is put right, whatever is thought of it by now
        if recalled(self.boot.keys, release.verifier):
            raise Refused("recalled", "release {} was recalled".format(release.version))
        if not release.offered(self.boot.keys.get("pk") or b"", now):
            raise Refused("wave", "release {}: its rollout has not reached this board".format(release.version))

    def _check_space(self) -> None:
        need = self.release.size - self.release.slot_size
        if not need:
            return
        here = folder_of(self.release.verifier, self.boot.root)
        for _, target, length in self.release.files:
            try:
                need -= min(length, os.stat(here + "/" + target)[6])
            except OSError:
                pass
        room = os.statvfs(self.boot.root.rsplit("/", 1)[0] or "/")
        if need + _SPARE > room[0] * room[3]:
            raise Refused("space", "path files: {} bytes more, free {}".format(need, room[0] * room[3]))

    def finish(self):  # type: ignore[no-untyped-def]
        """Steps: read back and hash all of it, check the image, record it, choose it for the next boot.

        The caller resets after it. Raises StorageError when the flash does not hold the release (download
        again: pieces that are right are kept), ImageError or SlotError when the release can never boot
        (`reject` it); then nothing is switched.
        """
        release = self.release
        digest = yield from verifier_steps(self.storage, release.size)
        if digest != release.verifier:
            raise StorageError("read back: not what the release's verifier says")
        if self.slot is None:
            from fwnode.update import folders

            folders.switch(self.boot, release)
            return
        length = self.slot.image_length
        if length != release.slot_size:
            raise ImageError("image: length: {}, release says {}".format(length, release.slot_size))
        otadata.clear_aborted(self.boot.slots, self.slot)
        arm(self.boot, self.slot.label.encode(), release)
        try:
            self.slot.set_boot()
        except SlotError:
            self.boot.keys.drop("pend")
            raise

    @property
    def place(self) -> str:
        """Where the release goes: the slot's label, or the folder."""
        return self.slot.label if self.slot else self.storage.folder

    def salvage(self):  # type: ignore[no-untyped-def]
        """Steps: for a repair, before the download: copy what is still right of what runs; returns how many pieces."""
        from fwnode.update.salvage import salvage

        return (yield from salvage(self.boot.stream, self.release, self.storage))

    def reject(self) -> None:
        """The release can never boot here: refuse it from now on."""
        row = self._failures.find(self.release.verifier)
        self._failures.record(self.release.verifier, row[1] + 1, row[2], True)
        self.boot.files.remove(PENDING_M)
