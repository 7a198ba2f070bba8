"""Following the trust root, number by number, from a verification node or a fellow (design: addition 5).

Each root is kept before the next is asked for, so that a power cut between two costs nothing. Its name begins as
fwnode.checking does, with which it is let go.
"""

import os

from fwnode.compat import const, drive
from fwnode.errors import FwError
from fwnode.net.http import get
from fwnode.net.messages import BadHttp
from fwnode.roots import ROOT, number_of
from fwnode.trust.root import MAX_ROOT, Root

_MOST = const(64)  # roots taken in one go
KEPT = const(16)  # files of roots: the newest and those before it


async def catch_up(node, sources: list, newest) -> None:  # type: ignore[no-untyped-def]
    """Take newer roots from each of the nodes at `sources`, to number `newest` (see `follow`)."""
    from fwnode.checking_news import keep_vendors

    files = node.boot.files

    def took(new: Root) -> None:
        keep_vendors(node.boot.keys)
        node.hooks.state("root", number=new.number)

    for url in sources:
        try:
            await follow(files, Root(files.read(ROOT)), url, newest, node.local, took)
        except FwError as error:
            node.hooks.state("error", what="follow", why=str(error))


async def follow(files, root, url: str, newest, local, took):  # type: ignore[no-untyped-def]
    """Take the roots after `root` that the node at `url` has, to number `newest` (None: as many as there are).

    Each one must be signed by the one before and by itself. `took(new)` hears of each once it is kept. Raises FwError.
    """
    for _ in range(_MOST):
        if newest is not None and root.number >= newest:
            return
        try:
            raw = await get("{}/root/{}".format(url, root.number + 1), MAX_ROOT, local)
        except BadHttp as error:
            if newest is None and error.status == 404:
                return
            raise
        new = Root(raw)
        await drive(root.check_next(new))
        keep(files, new.number, raw)
        root = new
        took(new)


def keep(files, number: int, raw: bytes) -> None:  # type: ignore[no-untyped-def]
    """Take `raw`, checked, as the newest root; a power cut leaves the old one or this one."""
    old = files.read(ROOT)
    if old is not None:
        before = _name(number_of(old))
        if files.read(before) is None:
            files.write(before, old)
    files.write(_name(number), raw)
    files.write(ROOT, raw)
    for name in os.listdir(files.folder):
        if name.startswith("root-") and name[5:].isdigit() and int(name[5:]) <= number - KEPT:
            files.remove(name)


def _name(number: int) -> str:
    return "root-" + str(number)
