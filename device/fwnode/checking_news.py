"""What a verification node's answer tells a board besides: a fresh certificate, recalled releases.

Its name begins as fwnode.checking does, with which it is let go.
"""

from fwnode.compat import const, drive
from fwnode.errors import FwError
from fwnode.trust import Untrusted
from fwnode.trust.recall import Recall
from fwnode.update.recalls import NAME, recalled, rows
from fwnode.wire import WireError
from fwnode.wire.bencode import decode

_MOST = const(16)  # recalls that are remembered; the oldest makes room


async def take(checker, certificate, recalls: list) -> None:  # type: ignore[no-untyped-def]
    """Check and keep both; what does not hold is told as an error and changes nothing."""
    hooks = checker.node.hooks
    if certificate is not None:
        try:
            await _renew(checker, certificate)
        except FwError as error:
            hooks.state("error", what="certificate", why=str(error))
    for told in recalls:
        try:
            statements = decode(told)
            if not isinstance(statements, list):
                raise WireError("recall: a list expected")
            for data in statements:
                await _recall(checker, data)
        except FwError as error:
            hooks.state("error", what="recall", why=str(error))


async def _renew(checker, data: bytes) -> None:  # type: ignore[no-untyped-def]
    """A certificate counts for this key and model alone, by an enrolment key, and only when it ends later."""
    from fwnode.trust.cert import Certificate

    me, keys = checker.me, checker.node.boot.keys
    held = keys.get("cert")
    new = Certificate(data)
    if held is None or new.public != me.public or new.model != me.model:
        raise Untrusted("certificate", "certificate: not of this board")
    if new.expires <= Certificate(held).expires:
        raise Untrusted("certificate", "certificate: it ends no later than the one that is here")
    await drive(new.check(checker.root, checker.node.clock.now()))
    keys.put("cert", data)
    me.credential = ("cert", data)
    checker.node.hooks.state("certified", expires=new.expires)


async def _recall(checker, data: object) -> None:  # type: ignore[no-untyped-def]
    """A recall counts for this model, signed as the trust root wants it."""
    if not isinstance(data, bytes):
        raise WireError("recall: a string expected")
    node = checker.node
    statement = Recall(data)
    if statement.model != checker.me.model:
        raise Untrusted("model", "recall: for model {}, this is {}".format(statement.model, checker.me.model))
    running = statement.verifier == node.boot.verifier
    if recalled(node.boot.keys, statement.verifier):
        if running:  # it stays on it until there is a newer one, and says so each time
            node.hooks.state("recalled", version=statement.version, running=True)
        return
    note(node.boot.keys, statement.verifier, (await drive(statement.check(checker.root))))
    node.hooks.state("recalled", version=statement.version, running=running)
    if running:
        await node.sharing.stop()


def note(keys, verifier: bytes, vendor: bool) -> None:  # type: ignore[no-untyped-def]
    """Remember a recall that was checked; `vendor`: whether the vendor signed it."""
    kept = [row for row in rows(keys) if row[:16] != verifier[:16]]
    kept.append(verifier[:16] + bytes([vendor]))
    keys.put(NAME, b"".join(kept[-_MOST:]))


def keep_vendors(keys) -> None:  # type: ignore[no-untyped-def]
    """A new trust root is in force: what verification nodes of the older one recalled counts no more.

    So a stolen verification node shuts out a release only until its key is retired.
    """
    before = rows(keys)
    kept = [row for row in before if row[16]]
    if kept and len(kept) < len(before):
        keys.put(NAME, b"".join(kept))
    elif not kept and before:
        keys.drop(NAME)
