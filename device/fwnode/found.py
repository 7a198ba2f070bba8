"""What a check found, for the node that goes on with it after the checking code is let go."""

from fwnode.compat import const

_TYPING = const(0)

if _TYPING:
    from fwnode.trust.contents import Contents


class Found:
    """What a check found: `answered`, by the verification node at `url`; `outcome` and `why` when it ended; else the
    `release` to install (Contents), `peers` (L), `repair`; `row` is what a log of this exchange says.
    """

    def __init__(self) -> None:
        self.answered = False
        self.url = ""
        self.outcome = ""
        self.why = ""
        self.release: "Contents | None" = None
        self.peers: list = []
        self.repair = False
        self.row: dict = {}
