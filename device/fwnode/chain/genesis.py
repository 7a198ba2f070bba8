"""Genesis: block 0, which holds the network's parameters; a board pins its hash and needs nothing
else.

Encoded: {"t": "genesis", "head": the 88 bytes of its header, "f": {"name", "confirmations",
"enrolment", "root"}}. The one leaf of its merkle tree is `f` encoded; the difficulty stands in the
header; it needs neither work nor signature.
"""

from fwnode.chain import ChainError, merkle
from fwnode.chain import header as headers
from fwnode.chain.head import Link
from fwnode.compat import const
from fwnode.trust.document import BYTES, DICT, INT, only, take, take_text
from fwnode.wire.bencode import decode_dict, encode

MAX_GENESIS = const(512)
DIFFICULTY = const(16384)  # hashes: about two seconds of an ESP32 at 240 MHz, well below one on a host
CONFIRMATIONS = const(7)  # "more than six" (paper 3.3.2)
CERTIFIED = "certified"
OPEN = "open"
_NONE = b"\x00" * 32


class Genesis:
    """The parameters: `name`, `difficulty`, `confirmations`, `certified`, `root_hash` (of root 1),
    `hash`, `net`, `time`.
    """

    def __init__(self, data: bytes, pinned=None) -> None:  # type: ignore[no-untyped-def]
        """Parse; raises ChainError or WireError, also when `pinned` is given and is not its hash."""
        whole = decode_dict(data, "genesis", MAX_GENESIS)
        only(whole, "genesis", ("t", "head", "f"))
        if whole.get("t") != b"genesis":
            raise ChainError("genesis", "type genesis expected")
        self.data = data
        self.head = take(whole, "genesis", "head", BYTES, headers.SIZE, headers.SIZE)
        header = headers.decode(self.head)
        self.hash = headers.hash_of(self.head)
        if pinned is not None and self.hash != pinned:
            raise ChainError("genesis", "it is not the network's: another hash is pinned")
        self.net = self.hash[:8]
        field = take(whole, "genesis", "f", DICT, 4, 4)
        leaf = encode(field)
        if header.previous != _NONE:
            raise ChainError("previous", "32 zero bytes expected in genesis")
        if header.size != headers.SIZE + len(leaf):
            raise ChainError(
                "size",
                "the header says {}, it has {}".format(header.size, headers.SIZE + len(leaf)),
            )
        if header.root != merkle.root([leaf]):
            raise ChainError("root", "the merkle root is not that of the parameters")
        self.name = take_text(field, "genesis", "name", 1, 32)
        self.confirmations = take(field, "genesis", "confirmations", INT, 1, 64)
        enrolment = take_text(field, "genesis", "enrolment", 1, 16)
        if enrolment not in (CERTIFIED, OPEN):
            raise ChainError("enrolment", "{} or {} expected".format(CERTIFIED, OPEN))
        self.certified = enrolment == CERTIFIED
        self.root_hash = take(field, "genesis", "root", BYTES, 32, 32)
        self.time = header.time
        self.difficulty = header.difficulty

    def link(self) -> Link:
        """What block 1 needs to know of its parent."""
        return Link(0, self.hash, 0, 1, [self.time])


def build(name, root_hash, time, difficulty=DIFFICULTY, confirmations=CONFIRMATIONS, certified=True):  # type: ignore[no-untyped-def]
    """The encoded genesis of a network; `root_hash` is Root.hash of root 1, `time` in seconds since
    1970.
    """
    if not 1 <= difficulty <= headers.MAX_DIFFICULTY:
        raise ChainError("difficulty", "{} is outside 1 to {}".format(difficulty, headers.MAX_DIFFICULTY))
    field = {
        "name": name,
        "confirmations": confirmations,
        "enrolment": CERTIFIED if certified else OPEN,
        "root": root_hash,
    }
    leaf = encode(field)
    header = headers.Header(headers.SIZE + len(leaf), _NONE, merkle.root([leaf]), time, difficulty)
    data = encode({"t": "genesis", "head": header.encode(), "f": field})
    Genesis(data)
    return data
