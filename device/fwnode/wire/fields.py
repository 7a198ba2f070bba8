"""The fields of every message: which type has which, and the limits of each.

The keys are the paper's symbols in lower case. A message with a field that its type does not have, without one that
it must have, or with a value outside the limits is malformed.
"""

from fwnode.wire.errors import WireError

R_BITS = 63
R_SPAN = 1 << R_BITS
MAX_METAINFO = 8192  # bytes of M
MAX_MESSAGE = 16384  # bytes of one encoded message

INT = 0
BYTES = 1
DICT = 2
TEXT = 3  # printable ASCII without spaces

# name: kind, least, most (a value of INT; the length of BYTES and TEXT; the entries of DICT)
LIMITS = {
    "t": (TEXT, 1, 24),
    "net": (BYTES, 8, 8),
    "from": (BYTES, 20, 20),
    "to": (BYTES, 0, 20),
    "r": (INT, 0, R_SPAN - 1),
    "ts": (INT, 0, 1 << 40),
    "cert": (BYTES, 1, 400),
    "pu": (BYTES, 65, 65),
    "d": (TEXT, 1, 32),
    "v": (TEXT, 1, 17),
    "port": (INT, 1024, 65535),
    "ticket": (BYTES, 16, 512),
    "box": (BYTES, 82, MAX_MESSAGE - 1024),
    "sig": (BYTES, 64, 64),
    "h": (BYTES, 32, 32),
    "id": (BYTES, 20, 20),
    "m": (BYTES, 0, MAX_METAINFO),
    "l": (DICT, 2, 2),
    "req": (BYTES, 20, 20),
    "res": (BYTES, 20, 20),
    "o": (TEXT, 1, 16),
    "ask": (BYTES, 1, 1000),
    "join": (BYTES, 32, 32),
    "nonce": (INT, 0, (1 << 32) - 1),
    "root": (INT, 1, 1 << 31),
    "tip": (BYTES, 1, 512),
    "block": (BYTES, 1, 12000),
}

ENVELOPE = ("t", "net", "from", "to", "r", "sig")
SENDER = ("cert", "pu")

# type: (clear fields that it must have, clear fields that it may have, sealed must, sealed may)
TYPES = {
    "req_verchk": (("d", "v", "ts", "port"), SENDER, (), ()),
    "res_verchk": ((), ("ts", "ticket", "root", "tip", "port") + SENDER, ("v", "r", "id"), ("m", "pu")),
    "req_verification": ((), ("ticket",), ("h", "r"), ()),
    "res_verification": ((), ("ts",), ("h", "r"), ()),
    "req_metadata": ((), ("ticket", "port") + SENDER, ("id", "v", "d", "r"), ()),
    "res_metadata": ((), ("ts", "ticket", "root", "tip"), ("m", "r"), ()),
    "req_download": (("v",), ("ticket", "port"), ("id", "h", "r"), ()),
    "res_download": (("v",), ("ts",), ("l", "id", "r"), ()),
    "notice_download": (("v",), (), (), ()),
    "join_verification": (("d", "v", "h", "ts", "port", "ask", "id"), SENDER, (), ()),
    "verification_log": (
        ("req", "res", "ts", "o", "d", "v", "h"),
        ("join", "nonce") + SENDER,
        (),
        (),
    ),
    "block": (("block", "port", "ts"), (), (), ()),
}


def check_value(name: str, value: object) -> None:
    """Raise WireError, naming field and limit, unless `value` is one that the field `name` may have."""
    kind, least, most = LIMITS[name]
    if kind == INT:
        if not isinstance(value, int):
            raise WireError("{}: a number expected".format(name))
        if not least <= value <= most:
            raise WireError("{}: {} is outside {} to {}".format(name, value, least, most))
        return
    expected = dict if kind == DICT else bytes
    if not isinstance(value, expected):
        raise WireError("{}: {} expected".format(name, "a dictionary" if kind == DICT else "a string"))
    if not least <= len(value) <= most:
        raise WireError("{}: {} bytes or entries, limits {} to {}".format(name, len(value), least, most))
    if kind == TEXT and not all(0x21 <= byte < 0x7F for byte in value):
        raise WireError("{}: printable ASCII without spaces expected".format(name))


def check_shape(message: dict, must: tuple, may: tuple, where: str) -> None:
    """Raise WireError unless `message` has all of `must`, nothing beyond `must` and `may`, all within limits."""
    for name in must:
        if name not in message:
            raise WireError("{}: field {} is missing".format(where, name))
    for name, value in message.items():
        if name not in must and name not in may:
            raise WireError("{}: field {} does not belong there".format(where, name))
        check_value(name, value)
