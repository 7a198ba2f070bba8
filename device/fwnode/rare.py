"""Modules that are loaded while somebody uses them, and let go after the last user."""

from fwnode.compat import forget


class Rare:
    """`with rare:` around each use of the modules whose names start with one of `prefixes`, and of those of `also`."""

    def __init__(self, prefixes: tuple, also: "Rare | None" = None) -> None:
        self._prefixes = prefixes
        self._also = also
        self._users = 0

    def __enter__(self) -> None:
        if not self._users:
            forget(*self._prefixes)  # what the last one could not, for want of room
            if self._also is not None:
                self._also.__enter__()
        self._users += 1

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            forget(*self._prefixes)
            if self._also is not None:
                self._also.__exit__()


ASKING = ("fwnode.net.http", "fwnode.net.connect")
HTTP = Rare(ASKING)
