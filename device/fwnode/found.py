"""What a check found, for the node that goes on with it after the checking code is let go."""

from fwnode.compat import const

_TYPING = const(0)

if _TYPING:
    from fwnode.trust.contents import Contents


class Found:
    """What a check found: `answered`, by the node at `url` in the paper's `case`; `outcome` and `why` when it ended;
    else the `release` to install (Contents), `peers` (L), `repair`; `row` is what a log of this exchange says.

    `by_node`: a verification node answered (its time and its silence count); `asked` is the request (r, encoded) that
    none did; `confirmations` those that C2-2 has counted; `reached`: a member of the fleet was heard, though it could
    not answer (too few confirmations): that is enough for a release on trial. `behind`: (URLs that have newer trust
    roots, the newest number or None), to be followed first.
    """

    def __init__(self) -> None:
        self.answered = False
        self.by_node = False
        self.reached = False
        self.behind: "tuple | None" = None
        self.asked: "tuple | None" = None
        self.url = ""
        self.case = ""
        self.outcome = ""
        self.why = ""
        self.release: "Contents | None" = None
        self.peers: list = []
        self.repair = False
        self.confirmations = 0
        self.row: dict = {}
