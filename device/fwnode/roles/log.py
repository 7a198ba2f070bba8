"""The verification log that n_i broadcasts at the end (paper 3.2, 3.3): request ID, response ID, timestamp, outcome.

Its r is the exchange's own r, so that an auditor can check the request ID, which is made from public key and r.
"""

from fwnode.wire import message

CURRENT = "current"  # newest version, verifier equal
TAMPERED = "tampered"  # newest version, verifier not equal
UPDATED = "updated"  # a newer release runs and has confirmed itself
REPAIRED = "repaired"  # the same release was installed anew and has confirmed itself
ROLLED_BACK = "rolled-back"  # a release was installed and did not confirm itself
FAILED = "failed"  # the exchange or the update ended with an error
ANSWERED = "answered"  # quiet C2: no further answers are needed
CONFIRMED = "confirmed"  # a confirming node's log in C2-2

OUTCOMES = (CURRENT, TAMPERED, UPDATED, REPAIRED, ROLLED_BACK, FAILED, ANSWERED, CONFIRMED)


def verification_log(me, r: int, response_id: bytes, when: int, outcome: str, version: str, verifier: bytes):  # type: ignore[no-untyped-def]
    """Steps: the signed log of the exchange `r`, encoded; `when` in seconds since 1970, `verifier` 32 bytes."""
    own = message.node_id(me.public, r)
    log = message.new("verification_log", me.net, own, b"", r)
    log["req"] = own
    log["res"] = response_id
    log["ts"] = when
    log["o"] = outcome.encode()
    log["d"] = me.model.encode()
    log["v"] = version.encode()
    log["h"] = verifier
    log[me.credential[0]] = me.credential[1]
    return (yield from message.sign(me.private, log))
