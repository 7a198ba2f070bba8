"""The two app slots, through `esp32.Partition` alone (ESP-IDF, OTA).

`writeblocks` without an offset erases what it writes; with one it programs only. MicroPython tells no slot's
state: `otadata` reads it.
"""

from fwnode.compat import const
from fwnode.update import SlotError, StorageError

SECTOR = const(4096)
_OTA_0 = const(0x10)  # sub-type of the first OTA slot


class SlotView:
    """A slot to read from: `label`, `address` and `size` in bytes, `index` (0 = ota_0)."""

    def __init__(self, part) -> None:  # type: ignore[no-untyped-def]
        info = part.info()
        self.part = part
        self.index = info[1] - _OTA_0
        self.address = info[2]
        self.size = info[3]
        self.label = info[4]
        self._image = None  # type: object

    def readinto(self, offset: int, buf) -> None:  # type: ignore[no-untyped-def]
        """Fill `buf` from byte `offset`; raises StorageError outside the slot or when flash refuses."""
        if offset < 0 or offset + len(buf) > self.size:
            raise StorageError("slot {}: {} bytes at {}, size {}".format(self.label, len(buf), offset, self.size))
        try:
            self.part.readblocks(offset // SECTOR, buf, offset % SECTOR)
        except OSError as error:
            raise flash_error("read", self.label, offset, error)

    @property
    def image(self):  # type: ignore[no-untyped-def]
        """The Image in it, measured once; raises ImageError."""
        if self._image is None:
            from fwnode.update.image import measure

            self._image = measure(self.readinto, self.size)
        return self._image

    @property
    def image_length(self) -> int:
        """Exact bytes of the image: header, segments, checksum, digest."""
        return self.image.length

    @property
    def app_version(self) -> str:
        """The version in its application description."""
        return self.image.version


class Slots:
    """The running slot and the one to write; `partition` is the class to use (default `esp32.Partition`)."""

    def __init__(self, partition=None) -> None:  # type: ignore[no-untyped-def]
        if partition is None:
            from esp32 import Partition as partition  # type: ignore[no-redef]
        self.partition = partition
        self.running = SlotView(partition(partition.RUNNING))

    @property
    def target(self):  # type: ignore[no-untyped-def]
        """The TargetSlot to write; raises SlotError on a board without a second one."""
        from fwnode.update.target import TargetSlot

        try:
            found = TargetSlot(self.running.part.get_next_update())
        except OSError:
            raise SlotError("no second app slot: flash an OTA layout (two slots and otadata)")
        if found.address == self.running.address:
            raise SlotError("no second app slot: the next one is the running one")
        return found

    def mark_valid(self) -> None:
        """Cancel the rollback that waits for a first boot's confirmation; raises SlotError."""
        try:
            self.partition.mark_app_valid_cancel_rollback()
        except OSError as error:
            raise SlotError("slot {}: confirmation: {}".format(self.running.label, error))


def flash_error(what: str, label: str, offset: int, error: OSError) -> StorageError:
    return StorageError("slot {}: {} at 0x{:x}: {}".format(label, what, offset, error))
