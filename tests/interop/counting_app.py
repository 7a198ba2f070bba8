"""An application for a board under test: it counts what strangers' datagrams cost, and prints it as events `gate`.

heard     datagrams that reached the board (repeats and oversized ones with the rest)
judged    those that were looked at
strangers, members   what the gate of elliptic curves let in; `saved`: what the board's own requests let in besides
works     what the gate of proofs of work let in for strangers
verified, secret     elliptic curve operations that the roles and the chain did: signatures checked, and all others
ms        since the application began
"""

import asyncio
import builtins
import json
import sys

from fwnode.compat import ticks_diff, ticks_ms

VERSION = "counting"
EVERY = 20  # datagrams
STEPS = "fwnode.crypto.steps"
NAMES = ("heard", "judged", "strangers", "members", "saved", "works", "verified", "secret")
counts = dict.fromkeys(NAMES, 0)
fellows = [0]  # how many of the roles' and the chain's phases run


def counted(function, name):
    def wrapper(*arguments):
        counts[name] += 1 if fellows[0] else 0
        return function(*arguments)

    return wrapper


def watch_curves():
    """Count in the module of the curves, each time that it is loaded anew; it is let go with what counts."""
    load = builtins.__import__

    def watched(*arguments):
        module = load(*arguments)
        steps = sys.modules.get(STEPS)
        if hasattr(steps, "verify_digest") and not hasattr(steps, "watched"):
            steps.watched = True
            steps.verify_digest = counted(steps.verify_digest, "verified")
            for name in ("sign_digest", "seal", "unseal", "ecdh", "public_key"):
                setattr(steps, name, counted(getattr(steps, name), "secret"))
        return module

    builtins.__import__ = watched


def watch_gate(gate, stranger, member):
    take, expect = gate.take, gate.expect

    def taken(public, ip):
        known = gate._name(public, ip) in gate._known
        allowed = take(public, ip)
        if allowed and (member if known else stranger):
            counts[member if known else stranger] += 1
        return allowed

    def expected(count):
        counts["saved"] += count
        expect(count)

    gate.take, gate.expect = taken, expected


def watch_phase(door, name):
    phase = getattr(door, name)

    async def watched(*which):
        counted = which in ((), ("chain",))
        fellows[0] += counted
        try:
            await phase(*which)
        finally:
            fellows[0] -= counted

    setattr(door, name, watched)


def watch(node, begun):
    door, lan = node.broadcasts, node.lan
    watch_gate(door.curves, "strangers", "members")
    watch_gate(door.works, "works", None)
    watch_phase(door, "_play")
    watch_phase(door, "_afterwards")
    judge, new = door.judge, lan._new

    def judged(data, ip):
        counts["judged"] += 1
        return judge(data, ip)

    def heard(data):
        counts["heard"] += 1
        if counts["heard"] % EVERY == 0:
            tell(node, begun)
        return new(data)

    door.judge, lan._new = judged, heard


def tell(node, begun):
    row = {"event": "gate", "ms": ticks_diff(ticks_ms(), begun), "dropped": node.dropped}
    row.update(counts)
    row["heard"] += node.lan.dropped
    print(json.dumps(row))


async def main(node):
    begun = ticks_ms()
    watch_curves()
    while node.lan is None:
        await asyncio.sleep(0)
    watch(node, begun)
    while True:
        await asyncio.sleep(1)
        tell(node, begun)
