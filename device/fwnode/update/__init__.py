"""Images, slots, installing, and what happened at this boot (design: the board).

The node calls these; nothing here talks to the network or keeps a clock. Order of use::

    boot = Boot(Slots(), KeyStore(), FileStore())
    yield from boot.check()                 # what runs, trial, rolled back, update-only
    boot.confirm()                          # a trial that passed its self-test
    install = Install(boot, release, ...)   # every refusal, before the first erase
    ... download into install.storage ...
    yield from install.finish()             # read back, record, switch; then reset
"""

from fwnode.compat import forget
from fwnode.errors import FwError


class UpdateError(FwError):
    """Base of what this package raises."""


class ImageError(UpdateError):
    """An application image is malformed or of the wrong kind; the text names the field and the limit."""


class SlotError(UpdateError):
    """The board has no second slot, or the boot loader's check refused one."""


class StorageError(UpdateError):
    """Flash or file system refused a read or a write."""


class KeyStoreError(UpdateError):
    """NVS is full or failing, or a value in it is not what it must be."""


class Refused(UpdateError):
    """A release that this board does not install; `reason` is a short word for counters and logs."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


RARE = (
    "fwnode.update.trial",
    "fwnode.update.failures",
    "fwnode.update.otadata",
    "fwnode.update.folders",
    "fwnode.update.install",
    "fwnode.update.salvage",
    "fwnode.update.image",
    "fwnode.update.storage",
    "fwnode.update.target",
    "fwnode.update.wide",
)


def let_go() -> None:
    """Unload what only a boot or an installation needs, on a board; the next import loads it again.

    To be called after an installation that came to nothing; `Boot.check` and `Boot.confirm` call it themselves.
    """
    forget(*RARE)
