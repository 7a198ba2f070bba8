"""The chain of verification logs (paper 3.2; design: the chain). Sans I/O, no clock of its own.

header      88 bytes, their hash, the proof of work's target
merkle      RFC 6962 tree: root, inclusion path
record      verification log and release record, one leaf each
head        a block's signed head
block       a block: signed head with verification field
pow         proof of work in slices
confirm     the confirmations of one join_verification
authority   whose signature counts
genesis     block 0: the network's parameters
headers     a board's header chain, kept in flash (its file: fwnode.headers_file; follow: from a node)
checkpoint  what no reorganisation goes below
inclusion   that a record stands in one block
proof       a proof file that needs genesis alone
"""

from fwnode.errors import FwError


class ChainError(FwError):
    """A block, header, record or proof breaks a rule.

    `field` names what is wrong; the text says what is and what should be.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__("{}: {}".format(field, text))
        self.field = field
