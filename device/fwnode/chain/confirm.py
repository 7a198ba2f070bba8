"""Confirmations of one join_verification (paper 3.3.2, C2-2 steps 3 and 4): who counts, and when
they are enough.

One counts when it is a verification log with the outcome `confirmed` of exactly this join,
exchange, model, version and verifier, shows its proof of work, and is signed by a certified key
that counted not yet and is neither n_i's nor n_j's. The cheap checks come first: what does not
belong here costs no signature and no certificate.
"""

from fwnode.chain import ChainError
from fwnode.chain.log import CONFIRMED, Log


class Confirmations:
    """What n_j (and n_i for itself) collects; `needed` is genesis's number, "more than six".

    `join` is the SHA-256 of the encoded join_verification; `excluded` are the public keys of n_i
    and n_j. `logs` are the encoded logs that count, where `keep` asks for them (n_j makes a block of them, n_i only
    counts).
    """

    def __init__(  # type: ignore[no-untyped-def]
        self, authority, genesis, join, request, response, expected, excluded, keep: bool = True
    ) -> None:
        self._authority = authority
        self._difficulty = genesis.difficulty
        self._net = genesis.net
        self._join = join
        self._exchange = (request, response)
        self._expected = expected  # (model, version, verifier)
        self._seen = list(excluded)  # public keys that do not count (any more)
        self.needed = genesis.confirmations
        self.count = 0
        self.logs = []  # type: list[bytes]
        self._keep = keep

    @property
    def enough(self) -> bool:
        """Whether the verifier is confirmed."""
        return self.count >= self.needed

    def add(self, data: bytes, at):  # type: ignore[no-untyped-def]
        """Steps: count the encoded log, or raise ChainError, WireError or Untrusted naming why it
        does not count.

        `at` is the time that its certificate must be valid at, or None.
        """
        log = Log(data, self._net)
        if log.outcome != CONFIRMED or log.body["join"] != self._join:
            raise ChainError("join", "no confirmation of this join")
        if (log.request, log.response) != self._exchange:
            raise ChainError("req", "a confirmation of another exchange")
        if (log.model, log.version, log.verifier) != self._expected:
            raise ChainError("verifier", "another model, version or verifier is confirmed")
        if self._authority.claim(log.body)[0] in self._seen:
            raise ChainError("signer", "this key confirms not, or has counted already")
        public = yield from log.check(self._authority, at, self._difficulty)
        if public in self._seen:
            raise ChainError("signer", "this key has counted already")
        self._seen.append(public)
        self.count += 1
        if self._keep:
            self.logs.append(data)
