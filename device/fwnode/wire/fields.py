"""The fields of every message: which type has which, and the limits of each.

The keys are the paper's symbols in lower case. A message with a field that its type does not have, without one that
it must have, or with a value outside the limits is malformed.
"""

from fwnode.wire.errors import WireError

R_BITS = 63
R_SPAN = 1 << R_BITS
MAX_METAINFO = 8192  # bytes of M
MAX_MESSAGE = 16384  # bytes of one encoded message

# name, kind, least, most (a value of int; the length of bytes and text; the entries of dict). One string, and one a
# type below: on a board, tables of tuples would take several times the room.
LIMITS = """
t text 1 24
net bytes 8 8
from bytes 20 20
to bytes 0 20
r int 0 9223372036854775807
ts int 0 1099511627776
cert bytes 1 400
pu bytes 65 65
d text 1 32
v text 1 17
port int 1024 65535
ticket bytes 16 512
box bytes 82 15360
sig bytes 64 64
h bytes 32 32
id bytes 20 20
m bytes 0 8192
l dict 2 2
req bytes 20 20
res bytes 20 20
o text 1 16
ask bytes 1 1000
join bytes 32 32
nonce int 0 4294967295
root int 1 2147483648
tip bytes 1 512
block bytes 1 12000
recall bytes 2 4096
"""

ENVELOPE = ("t", "net", "from", "to", "r", "sig")

# type: clear fields that it must have | clear fields that it may have | sealed must | sealed may
TYPES = {
    "req_verchk": "d v ts port | cert pu |  | ",
    "res_verchk": " | ts ticket root tip port cert pu recall | v r id | m pu",
    "req_verification": " | ticket | h r | ",
    "res_verification": " | ts | h r | ",
    "req_metadata": " | ticket port cert pu | id v d r | ",
    "res_metadata": " | ts ticket root tip | m r | ",
    "req_download": "v | ticket port | id h r | ",
    "res_download": "v | ts | l id r | ",
    "notice_download": "v |  |  | ",
    "join_verification": "d v h ts port ask id | cert pu |  | ",
    "verification_log": "req res ts o d v h | join nonce cert pu |  | ",
    "block": "block port ts |  |  | ",
}


def shape(kind: str) -> list:
    """The four lists of fields of a type; raises KeyError."""
    return [part.split() for part in TYPES[kind].split("|")]


def check_value(name: str, value: object) -> None:
    """Raise WireError, naming field and limit, unless `value` is one that the field `name` may have."""
    at = LIMITS.find("\n" + name + " ") + len(name) + 2
    kind, least, most = LIMITS[at : LIMITS.find("\n", at)].split()
    low, high = int(least), int(most)
    if kind == "int":
        if not isinstance(value, int):
            raise WireError("{}: a number expected".format(name))
        if not low <= value <= high:
            raise WireError("{}: {} is outside {} to {}".format(name, value, low, high))
        return
    if not isinstance(value, dict if kind == "dict" else (bytes, bytearray, memoryview)):
        raise WireError("{}: {} expected".format(name, "a dictionary" if kind == "dict" else "a string"))
    if not low <= len(value) <= high:
        raise WireError("{}: {} bytes or entries, limits {} to {}".format(name, len(value), low, high))
    if kind == "text" and not all(0x21 <= byte < 0x7F for byte in value):
        raise WireError("{}: printable ASCII without spaces expected".format(name))


def check_shape(message: dict, must: list, may: list, where: str) -> None:
    """Raise WireError unless `message` has all of `must`, nothing beyond `must` and `may`, all within limits."""
    for name in must:
        if name not in message:
            raise WireError("{}: field {} is missing".format(where, name))
    for name, value in message.items():
        if name not in must and name not in may:
            raise WireError("{}: field {} does not belong there".format(where, name))
        check_value(name, value)
