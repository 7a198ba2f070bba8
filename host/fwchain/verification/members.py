"""Who is a member of the network, and for how long: certificates, their end, their renewal (design: addition 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fwnode.compat import run
from fwnode.crypto import public_key as public_of
from fwnode.trust import cert
from fwnode.trust.cert import Certificate
from fwnode.trust.root import Root
from fwnode.wire.message import key_id

DAY_S = 86400
DUE = 3  # a certificate is renewed in the last third of its life


@dataclass(frozen=True)
class Terms:
    """Days that a certificate lives, and days after its end in which its board may still ask for a new one."""

    days: float = 1825.0
    grace_days: float = 90.0


class Members:
    """Checks certificates against the trust roots, and renews them with a verification node's key where it may.

    `roots` gives the roots 1 to the newest; `clock` seconds since 1970.
    """

    def __init__(
        self, private: bytes, roots: Callable[[], list[Root]], terms: Terms, clock: Callable[[], float]
    ) -> None:
        self._private = private
        self._own = key_id(public_of(private))
        self._roots = roots
        self._terms = terms
        self._clock = clock

    def check(self, certificate: Certificate, asking: bool) -> None:
        """Raise Untrusted unless the certificate counts now; whether its key is revoked was looked at before.

        One who is only `asking` is answered also in the days of grace after its end, and when the enrolment key that
        signed it was retired since: a board that nobody can reach would never be updated again, and what it is told is
        public.
        """
        root = self._roots()[-1]
        now = int(self._clock())
        if asking:
            now -= int(self._terms.grace_days * DAY_S)
            for one in reversed(self._roots()):
                if one.enrolment_key(certificate.signer) is not None:
                    root = one
                    break
        run(certificate.check(root, now))

    def renewed(self, certificate: Certificate) -> bytes | None:
        """A new certificate when this one, checked, ends soon or has ended, and this node may make one; else None."""
        root = self._roots()[-1]
        life = self._terms.days * DAY_S
        now = int(self._clock())
        if now <= certificate.expires - life / DUE:
            return None
        if root.enrolment_key(self._own) is None or root.enrolment_key(certificate.signer) is None:
            return None
        return bytes(run(cert.issue(self._private, certificate.model, certificate.public, int(now + life))))
