"""Whose signature counts on the chain: a verification node's, or a key that an enrolment key
certified.

In a network whose genesis says `enrolment = open` any key counts, as in the paper.
"""

from fwnode.chain import ChainError
from fwnode.compat import const
from fwnode.trust import Untrusted
from fwnode.trust.cert import Certificate
from fwnode.wire.message import key_id

KEPT = const(4)  # certificates kept parsed; the signature of a good one is not checked again


class Authority:
    """The rules of one trust root; `certified` is the genesis's enrolment."""

    def __init__(self, root, certified: bool, kept: int = KEPT) -> None:  # type: ignore[no-untyped-def]
        self.root = root
        self.certified = certified
        self._kept = kept
        self._known = {}  # type: dict[bytes, list]

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
            return self._certificate(sender["cert"])[0].public, False
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
        certificate, good = known
        if model is not None and certificate.model != model:
            raise Untrusted("certificate", "a certificate for {}, not for {}".format(certificate.model, model))
        if not good:
            yield from certificate.check(self.root, at)
            known[1] = True
        elif at is not None and at > certificate.expires:
            raise Untrusted("expired", "certificate: expired at {}, now {}".format(certificate.expires, at))

    def _certificate(self, data: bytes) -> list:
        """[the parsed certificate, whether its signature was found good], kept for the next time."""
        known = self._known.get(data)
        if known is None:
            known = [Certificate(data), False]
            if len(self._known) >= self._kept:
                self._known.clear()
            self._known[data] = known
        return known
