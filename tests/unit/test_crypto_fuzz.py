"""Whatever bytes are given: a result, InvalidKey or InvalidBox, and the same from every implementation.

The face on CPython (`cryptography`), the board's code on CPython, and the board's code on MicroPython.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import crypto_vectors as cv
from hypothesis import given, settings
from hypothesis import strategies as st
from test_crypto_cross import SETTINGS, N, P, key_of, run

from fwnode import crypto
from fwnode.crypto import pure

Work = Callable[..., object]
EDGES = (0, 1, 2, N - 1, N, N + 1, P - 1, P, P + 1, 2**256 - 1, 2**255)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The same bytes, or not quite."""
    out = bytearray(data)
    kind = rng.randrange(9)
    if kind == 0 and out:
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del out[rng.randrange(len(out) + 1) :]
    elif kind == 2:
        out += rng.randbytes(rng.randrange(1, 40))
    elif kind == 3:
        out = bytearray(rng.randbytes(rng.randrange(120)))
    elif kind == 4 and len(out) >= 32:  # a number at an edge, where one stands
        at = rng.choice((0, 1, len(out) - 32, (len(out) - 32) // 2))
        out[at : at + 32] = rng.choice(EDGES).to_bytes(32, "big")
    elif kind == 5 and out:
        out[0] = rng.choice((0, 2, 3, 4, 5, 6, 7, 255))
    elif kind == 6 and len(out) > 32:  # negated, or the halves exchanged
        out[-32:] = (P - int.from_bytes(out[-32:], "big") % P).to_bytes(32, "big")
    return bytes(out)


def hostile_call(rng: random.Random) -> tuple[str, list[bytes]]:
    """An operation and arguments, each in order or damaged."""
    private, _, public = key_of(rng.choice((rng.randrange(1, N), rng.randrange(1, 9))))
    own, _, own_public = key_of(rng.randrange(1, N))
    message = rng.randbytes(rng.choice((0, 1, 63, 64, rng.randrange(200))))
    info, aad = rng.randbytes(rng.randrange(30)), rng.randbytes(rng.randrange(30))
    calls: dict[str, list[bytes]] = {
        "public_key": [private],
        "sign": [private, message],
        "verify": [public, message, crypto.sign(private, message)],
        "ecdh": [own, public],
        "precompute": [public],
        "seal": [public, info, aad, message],
        "unseal": [own, info, aad, crypto.seal(own_public, info, aad, message)],
    }
    name = rng.choice(list(calls))
    args = calls[name]
    for i in range(len(args)):
        if rng.random() < 0.5:
            args[i] = damaged(rng, args[i])
    return name, args


def outcome(operation: Work, args: list[bytes]) -> object:
    """What a call returns, or the name of the exception, which is one of two; any other goes on."""
    try:
        got = operation(*args)
    except (crypto.InvalidKey, crypto.InvalidBox) as e:
        assert str(e)
        return type(e).__name__
    return got


def board(name: str) -> Work:
    """The board's code for an operation; a plaintext as bytes, as fwnode.crypto gives it."""
    kind = bytes if name == "unseal" else lambda result: result
    return lambda *args: kind(run(getattr(pure, name)(*args)))


def check(name: str, args: list[bytes]) -> None:
    """Both implementations agree."""
    got, expected = outcome(board(name), args), outcome(getattr(crypto, name), args)
    if name == "seal" and not isinstance(expected, str):
        assert isinstance(got, bytes)
        assert isinstance(expected, bytes)
        assert len(got) == len(expected) == len(args[3]) + 81
    else:
        assert got == expected
        assert type(got) is type(expected)


@settings(SETTINGS, max_examples=4 * SETTINGS.max_examples)
@given(st.integers(0, 2**64), st.lists(st.sampled_from((bytes, bytearray, memoryview)), min_size=4, max_size=4))
def test_hostile_calls_end_alike(seed: int, kinds: list[type]) -> None:
    name, args = hostile_call(random.Random(seed))
    check(name, [kind(a) for kind, a in zip(kinds, args, strict=False)])


@SETTINGS
@given(st.sampled_from(("public_key", "sign", "verify", "ecdh", "precompute", "seal", "unseal")), st.data())
def test_any_bytes_end_alike(name: str, data: st.DataObject) -> None:
    count = {"public_key": 1, "precompute": 1, "verify": 3, "seal": 4, "unseal": 4}.get(name, 2)
    check(name, data.draw(st.lists(st.binary(max_size=200), min_size=count, max_size=count)))


def hostile_lines(cases: int, seed: int) -> list[str]:
    """Lines for the board's code on MicroPython, with what the face answers here."""
    rng = random.Random(seed)
    lines = []
    while len(lines) < cases:
        name, args = hostile_call(rng)
        expected = outcome(getattr(crypto, name), args)
        if name == "seal":
            if not isinstance(expected, str):
                continue  # a box is another every time; see test_crypto_cross
            args.insert(0, b"\7")  # the ephemeral key of the script's operation
        lines.append(cv.line(name, *args, expected))  # type: ignore[arg-type]
    return lines


def test_hostile_calls_on_micropython(tmp_path: Path) -> None:
    lines = hostile_lines(600, seed=random.randrange(2**32))
    endings = {row.split()[-1] for row in lines}
    assert {"InvalidKey", "InvalidBox", "True", "False"} <= endings
    assert sum(cv.check(tmp_path, lines).values()) == 600
