"""The block header: 88 bytes, little-endian (paper 3.2 gives the first four fields, proof of work
needs the rest).

size u32 · version u32 · previous header hash 32 · merkle root 32 · time u64 · difficulty u32 ·
nonce u32. The header's hash is its SHA-256. Difficulty is the expected number of hashes: hash
(big-endian) < 2^256 // difficulty.
"""

import hashlib
import struct

from fwnode.chain import ChainError
from fwnode.chain.pow import target
from fwnode.compat import const

SIZE = const(88)
VERSION = const(1)
_NONCE_AT = const(84)
MAX_DIFFICULTY = 0xFFFFFFFF
MAX_TIME = 1 << 40  # seconds since 1970
MEDIAN_OF = const(11)
AHEAD_S = const(7200)  # a header's time may be this far ahead of a known clock
_FORM = "<II32s32sQII"


class Header:
    """One header's fields; `size` counts the header and the verification field in bytes, `time` is
    seconds since 1970.
    """

    def __init__(self, size, previous, root, time, difficulty, nonce=0, version=VERSION):  # type: ignore[no-untyped-def]
        self.size = size
        self.version = version
        self.previous = previous
        self.root = root
        self.time = time
        self.difficulty = difficulty
        self.nonce = nonce

    def encode(self) -> bytes:
        """The 88 bytes."""
        return struct.pack(
            _FORM,
            self.size,
            self.version,
            self.previous,
            self.root,
            self.time,
            self.difficulty,
            self.nonce,
        )

    def hash(self) -> bytes:
        """SHA-256 of the 88 bytes."""
        return hashlib.sha256(self.encode()).digest()


def decode(data: bytes) -> Header:
    """The header in exactly 88 bytes; raises ChainError naming field and limit. Work and context
    are not checked.
    """
    if len(data) != SIZE:
        raise ChainError("header", "{} bytes, {} expected".format(len(data), SIZE))
    size, version, previous, root, time, difficulty, nonce = struct.unpack(_FORM, data)
    if version != VERSION:
        raise ChainError("version", "{}, {} expected".format(version, VERSION))
    if time > MAX_TIME:
        raise ChainError("time", "{}, limit {}".format(time, MAX_TIME))
    if difficulty == 0:
        raise ChainError("difficulty", "0, at least 1 expected")
    return Header(size, previous, root, time, difficulty, nonce)


def hash_of(data: bytes) -> bytes:
    """The hash of an encoded header."""
    return hashlib.sha256(data).digest()


def check_work(data: bytes, difficulty: int) -> bytes:
    """The header's hash; raises ChainError unless its difficulty is `difficulty` and the hash below
    its target.
    """
    if len(data) != SIZE:
        raise ChainError("header", "{} bytes, {} expected".format(len(data), SIZE))
    told = struct.unpack_from("<I", data, 80)[0]
    if told != difficulty:
        raise ChainError("difficulty", "{}, {} expected".format(told, difficulty))
    digest = hash_of(data)
    if not digest < target(difficulty):
        raise ChainError("nonce", "the hash shows no work of {}".format(difficulty))
    return digest


def median(times: list) -> int:
    """The median of the last up to 11 header times; the later of the two in the middle of an even
    number.
    """
    recent = sorted(times[-MEDIAN_OF:])
    return recent[len(recent) // 2]


def check_time(time: int, times: list, now) -> None:  # type: ignore[no-untyped-def]
    """Raise ChainError unless `time` is above the median of the last 11 `times` and, with a clock,
    not far ahead.
    """
    past = median(times)
    if time <= past:
        raise ChainError("time", "{} is not above {}, the median of the last {}".format(time, past, MEDIAN_OF))
    if now is not None and time > now + AHEAD_S:
        raise ChainError("time", "{} is more than {} s ahead of {}".format(time, AHEAD_S, now))


def better(work: int, digest: bytes, than_work: int, than_digest: bytes) -> bool:
    """Whether a tip wins over another: most work; on a tie the lower hash."""
    return work > than_work or (work == than_work and digest < than_digest)
