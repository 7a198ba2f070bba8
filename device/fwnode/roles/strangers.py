"""What a node does before it spends anything on a stranger's message: cheap checks and a replay cache."""

from fwnode.trust import Untrusted
from fwnode.trust.cert import Certificate
from fwnode.wire import message

MAX_SKEW_S = 120
REPLAYS = 64


class Replays:
    """The last messages' keys, so that a copy costs a look-up; `keys` are those of an earlier cache."""

    def __init__(self, keys: list | None = None, size: int = REPLAYS) -> None:
        self._size = size
        self._keys: list = [] if keys is None else keys

    def seen(self, key: bytes) -> bool:
        """Whether this key was there before; it is from now on."""
        if key in self._keys:
            return True
        self._keys.append(key)
        if len(self._keys) > self._size:
            self._keys.pop(0)
        return False


def claimed(received: dict, r: int, certified: bool) -> bytes:
    """The public key that the sender claims, its ID made from that key and r; raises Untrusted or WireError.

    Costs two hashes; the certificate and the signature are not checked yet.
    """
    if "cert" in received:
        certificate = Certificate(received["cert"])
        if certificate.model.encode() != received.get("d", certificate.model.encode()):
            raise Untrusted("model", "d: not the model of the certificate")
        public = certificate.public
    elif certified or "pu" not in received:
        raise Untrusted("certificate", "cert: this network wants a certificate")
    else:
        public = received["pu"]
    if received["from"] != message.node_id(public, r):
        raise Untrusted("id", "from: not made from the sender's key and r")
    return public


def check_time(when: int, now) -> None:  # type: ignore[no-untyped-def]
    """Raise Untrusted unless a broadcast's `ts` is within 120 s of `now`, where both sides know the time."""
    if when and now is not None and abs(when - now) > MAX_SKEW_S:
        raise Untrusted("time", "ts: {} is more than {} s from {}".format(when, MAX_SKEW_S, now))


def check_signed(received: dict, public: bytes, authority, now):  # type: ignore[no-untyped-def]
    """Steps: raise Untrusted unless certificate and signature are good."""
    yield from authority.check(received, now)
    if not (yield from message.verify(received, public)):
        raise Untrusted("signature", "{}: wrong signature".format(message.kind_of(received)))
