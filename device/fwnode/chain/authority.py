"""Whose signature counts on the chain: a verification node's, or a key that an enrolment key
certified.

In a network whose genesis says `enrolment = open` any key counts, as in the paper.
"""

from fwnode.chain import ChainError
from fwnode.compat import const
from fwnode.crypto import sha256
from fwnode.trust import Untrusted
from fwnode.trust.cert import Certificate
from fwnode.wire.message import key_id

KEPT = const(4)  # certificates remembered; the signature of a good one is not checked again


class Signers:
    """What an Authority wants of a trust root; a board that only listens has no room for the rest."""

    def __init__(self, root) -> None:  # type: ignore[no-untyped-def]
        self.number = root.number
        self.nodes = root.nodes
        self.revoked = root.revoked
        self._enrolment = root.enrolment

    def enrolment_key(self, signer: bytes) -> bytes | None:
        """As fwnode.trust.root.Root has it."""
        for public in self._enrolment:
            if key_id(public) == signer and signer not in self.revoked:
                return public  # type: ignore[no-any-return]
        return None


class Authority:
    """The rules of one trust root (or its Signers); `certified` is the genesis's enrolment."""

    def __init__(self, root, certified: bool, kept: int = KEPT) -> None:  # type: ignore[no-untyped-def]
        self.root = root
        self.certified = certified
        self._kept = kept
        self._known = {}  # type: dict[bytes, _Known]

    def node(self, sender: dict) -> bool:
        """Whether the sender (its `cert` or `pu`) claims to be a verification node of the root."""
        public = sender.get("pu")
        return public is not None and public in self.root.nodes

    def claim(self, sender: dict):  # type: ignore[no-untyped-def]
        """(public key, whether it is a verification node's): the cheap checks alone; raises
        Untrusted or ChainError.
        """
        if ("pu" in sender) == ("cert" in sender):
            raise ChainError("cert", "one of cert and pu expected")
        if "cert" in sender:
            return self._certificate(sender["cert"]).public, False
        public = sender["pu"]
        if key_id(public) in self.root.revoked:
            raise Untrusted("revoked", "the key is revoked by root {}".format(self.root.number))
        node = public in self.root.nodes
        if not node and self.certified:
            raise Untrusted("certificate", "the signer has no certificate")
        return public, node

    def check(self, sender: dict, at, model=None):  # type: ignore[no-untyped-def]
        """Steps: raise Untrusted unless the sender's certificate (if it has one) is good at time
        `at` and for `model`.
        """
        data = sender.get("cert")
        if data is None:
            return
        known = self._certificate(data)
        if model is not None and known.model != model:
            raise Untrusted("certificate", "a certificate for {}, not for {}".format(known.model, model))
        if not known.good:
            yield from Certificate(data).check(self.root, at)
            known.good = True
        elif at is not None and at > known.expires:
            raise Untrusted("expired", "certificate: expired at {}, now {}".format(known.expires, at))

    def _certificate(self, data: bytes) -> "_Known":
        """What is known of a certificate, kept for the next time."""
        digest = sha256(data)[:16]
        known = self._known.get(digest)
        if known is None:
            known = _Known(Certificate(data))
            if len(self._known) >= self._kept:
                self._known.clear()
            self._known[digest] = known
        return known


class _Known:
    """What is kept of a certificate: far less than it takes itself."""

    def __init__(self, certificate: Certificate) -> None:
        self.model = certificate.model
        self.public = certificate.public
        self.expires = certificate.expires
        self.good = False  # its signature was checked
