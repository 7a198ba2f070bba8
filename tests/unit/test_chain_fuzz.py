"""Whatever bytes come, a decoder of the chain raises the project's own errors or takes them; nothing else leaves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chain_parts import TIME, Network
from fwnode.chain import checkpoint, header, proof
from fwnode.chain.genesis import Genesis
from fwnode.chain.head import Head
from fwnode.chain.headers import FILE_SIZE, HeaderChain
from fwnode.chain.log import Log
from fwnode.chain.record import ReleaseRecord, release_record
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.wire.bencode import decode, encode

NET = Network()
GENESIS = NET.genesis.link()
BLOCK = NET.by_board(1, GENESIS, [NET.log(1), NET.confirmation(3, 1, 2, bytes(32))])
HEAD = NET.block(BLOCK).announcement()
CHECKPOINT = run(checkpoint.sign(checkpoint.build(NET.net, NET.link(BLOCK, GENESIS)), NET.net, NET.node))
PROOF = proof.build(proof.inclusion(1, NET.block(BLOCK), 1), HEAD, NET.block(BLOCK).head, [NET.root_data])


def check_block(data: bytes) -> None:
    NET.check(data, GENESIS, TIME + 1000)


def check_head(data: bytes) -> None:
    run(Head(data, NET.net).check_head(NET.authority))


def check_log(data: bytes) -> None:
    run(Log(data, NET.net).check(NET.authority, TIME, NET.genesis.difficulty))


def check_checkpoint(data: bytes) -> None:
    run(checkpoint.Checkpoint(data, NET.net).check(NET.root))


def check_proof(data: bytes) -> None:
    run(proof.check(data, NET.genesis))


def take_head(data: bytes) -> None:
    run(HeaderChain(Flash(bytes(FILE_SIZE)), NET.genesis).take([data], NET.authority, TIME + 1000))


class Flash:
    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def readinto(self, offset: int, buffer: Any) -> None:
        buffer[:] = self.data[offset : offset + len(buffer)]

    def write(self, offset: int, data: bytes) -> None:
        self.data[offset : offset + len(data)] = data

    def sync(self) -> None:
        pass


DECODERS: list[tuple[Callable[[bytes], Any], bytes]] = [
    (check_block, BLOCK),
    (check_head, HEAD),
    (take_head, HEAD),
    (check_log, NET.log(1)),
    (check_checkpoint, CHECKPOINT),
    (check_proof, PROOF),
    (Genesis, NET.genesis.data),
    (header.decode, NET.genesis.head),
    (ReleaseRecord, b"d7:releasedee"),
    (release_record, b"d7:releasede12:release-sigslee"),
]


def own_errors_only(decoder: Callable[[bytes], Any], data: bytes) -> bool:
    """Whether the decoder took the bytes; an exception that is not the project's own is a failure."""
    try:
        decoder(data)
    except FwError:
        return False
    return True


def test_the_good_ones_are_taken() -> None:
    for decoder, good in DECODERS[:8]:
        assert own_errors_only(decoder, good), decoder


@settings(max_examples=400, deadline=None)
@given(which=st.integers(0, len(DECODERS) - 1), data=st.binary(max_size=400))
def test_any_bytes(which: int, data: bytes) -> None:
    own_errors_only(DECODERS[which][0], data)


@settings(max_examples=600, deadline=None)
@given(
    which=st.integers(0, len(DECODERS) - 1),
    at=st.integers(0, 1 << 16),
    cut=st.integers(0, 40),
    put=st.binary(max_size=40),
)
def test_good_ones_with_a_piece_exchanged(which: int, at: int, cut: int, put: bytes) -> None:
    decoder, good = DECODERS[which]
    at %= len(good)
    own_errors_only(decoder, good[:at] + put + good[at + cut :])


VALUES = st.recursive(
    st.one_of(st.integers(-1, 1 << 64), st.binary(max_size=100)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["t", "c", "l", "by", "head"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=500, deadline=None)
@given(which=st.integers(0, 6), name=st.integers(0, 20), value=VALUES)
def test_good_ones_with_a_field_exchanged(which: int, name: int, value: object) -> None:
    decoder, good = DECODERS[which]
    body = decode(good)
    assert isinstance(body, dict)
    names = sorted(body)
    body[names[name % len(names)]] = value
    try:
        data = encode(body)
    except FwError:
        return
    own_errors_only(decoder, data)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=2000), at=st.integers(0, FILE_SIZE - 1))
def test_any_bytes_in_the_header_chains_flash(data: bytes, at: int) -> None:
    flash = Flash(bytes(FILE_SIZE))
    HeaderChain(flash, NET.genesis).extend([NET.block(BLOCK).head], [3], None)
    flash.data[at : at + len(data)] = data
    del flash.data[FILE_SIZE:]
    chain = HeaderChain(flash, NET.genesis)
    assert chain.height in (0, 1)
