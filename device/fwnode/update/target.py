"""The slot that an installation writes; loaded on demand."""

from fwnode.compat import const
from fwnode.update import SlotError, StorageError
from fwnode.update.slots import SECTOR, SlotView, flash_error

_IOCTL_ERASE = const(6)


class TargetSlot(SlotView):
    """The slot that does not run: written by sector, then made the one to boot."""

    def write(self, offset: int, buf) -> None:  # type: ignore[no-untyped-def]
        """Erase and program from `offset` (a sector's start); raises StorageError.

        A last part shorter than a sector is programmed after an erase of the whole sector.
        """
        if offset % SECTOR or offset < 0 or offset + len(buf) > self.size:
            raise StorageError("slot {}: {} bytes at {}, size {}".format(self.label, len(buf), offset, self.size))
        self.changed()
        whole = len(buf) // SECTOR * SECTOR
        try:
            if whole:
                self.part.writeblocks(offset // SECTOR, buf if whole == len(buf) else buf[:whole])
            if whole < len(buf):
                sector = (offset + whole) // SECTOR
                self.part.ioctl(_IOCTL_ERASE, sector)
                self.part.writeblocks(sector, buf[whole:], 0)
        except OSError as error:
            raise flash_error("write", self.label, offset, error)

    def changed(self) -> None:
        """Forget what was measured of the image."""
        self._image = None

    def set_boot(self) -> None:
        """Boot from this slot next time; raises SlotError when the boot loader's own check refuses the image."""
        try:
            self.part.set_boot()
        except OSError as error:
            raise SlotError("slot {}: set_boot: {}".format(self.label, error))
