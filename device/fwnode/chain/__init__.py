"""The chain of verification logs (paper 3.2; design: the chain). Sans I/O: no sockets, no clock of its own.

header   88 bytes, their hash, the proof of work's target        merkle   RFC 6962 tree, root, inclusion proof
record   verification log and release record, one leaf each      block    verification field, signed head, rules
pow      proof of work in slices                                 genesis  block 0: the network's parameters
headers  a board's header chain, kept in flash                   proof    a proof file that needs genesis alone
"""

from fwnode.errors import FwError


class ChainError(FwError):
    """A block, header, record or proof breaks a rule; `field` names what is wrong, the text says the limit."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__("{}: {}".format(field, text))
        self.field = field
