"""The trust roots that a board keeps as files, so that fellows can catch up from it (design: addition 5).

fwnode.checking_roots writes them.
"""

from fwnode.compat import const
from fwnode.update.files import FileStore
from fwnode.wire import WireError
from fwnode.wire.decode import decode_dict

ROOT = "root"  # the file with the newest one; root-<n>, for the last of them, has number n
PATH = "/root/"
MAX_ROOT = const(8192)


def get(files: FileStore, path: str) -> bytes | None:
    """What `GET path` is answered: the trust root of that number, None when it is not kept here."""
    number = path[len(PATH) :]
    if not path.startswith(PATH) or not number.isdigit() or len(number) > 10:
        return None
    raw: bytes | None = files.read("root-" + str(int(number)))
    if raw is None:
        raw = files.read(ROOT)
        if raw is not None and number_of(raw) != int(number):
            return None
    return raw


def number_of(raw: bytes) -> int:
    """The number of an encoded root; 0 when it is none."""
    try:
        number = decode_dict(raw, ROOT, MAX_ROOT).get("number")
    except WireError:
        return 0
    return number if isinstance(number, int) else 0
