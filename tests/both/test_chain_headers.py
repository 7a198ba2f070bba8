"""A board's header chain: most work, ties, reorganisation, the ring in flash, and power cuts at every byte."""

import os
import struct

from chain_parts import TIME
from fwnode.chain import ChainError, header
from fwnode.chain.headers import FILE_SIZE, HeaderChain, Orphan
from fwnode.headers_file import RingFile
from header_parts import Flash, Pinned, PowerCut, branch, counters
from support import raises


def test_headers_extend_the_chain_and_come_back_after_a_reset():
    genesis, flash = Pinned(), Flash()
    chain = HeaderChain(flash, genesis)
    assert (chain.height, chain.hash) == (0, genesis.hash)
    heads = branch(genesis.hash, 20)
    assert chain.extend(heads[:1], [1], None) and chain.extend(heads[1:], counters(heads)[1:], None)
    assert flash.syncs == 2  # one a batch: littlefs rewrites the file's tail each time
    for again in (chain, HeaderChain(Flash(flash.data), genesis)):
        assert (again.height, again.hash, again.counter) == (20, header.hash_of(heads[-1]), 20)
        assert [again.header(n) for n in range(1, 21)] == heads
        assert again.find(header.hash_of(heads[6])) == 7 and again.find(genesis.hash) == 0
        assert again.find(bytes(32)) is None
        tip = again.tip()
        assert (tip.height, tip.counter, tip.times) == (20, 20, [TIME + 10 + n for n in range(9, 20)])
    assert not chain.extend(heads, None, None)  # nothing new
    assert raises(ChainError, chain.header, 21).field == "height"
    assert raises(ChainError, chain.header, 0).field == "height"


def test_a_longer_branch_wins_and_a_shorter_one_from_genesis_does_not():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    ours = branch(genesis.hash, 10)
    chain.extend(ours, counters(ours), None)
    deep = branch(genesis.hash, 9, salt=1)
    assert not chain.extend(deep, None, None)
    assert chain.hash == header.hash_of(ours[-1])
    deep += branch(header.hash_of(deep[-1]), 2, salt=2, time=TIME + 100)
    assert chain.extend(deep, counters(deep), None)
    assert (chain.height, chain.hash) == (11, header.hash_of(deep[-1]))
    again = HeaderChain(Flash(chain._flash.data), genesis)
    assert again.hash == chain.hash


def test_on_a_tie_the_lower_hash_wins():
    genesis = Pinned()
    pair = sorted((branch(genesis.hash, 1, salt) for salt in (5, 6)), key=lambda heads: header.hash_of(heads[0]))
    for first, second, moved in ((pair[1], pair[0], True), (pair[0], pair[1], False)):
        chain = HeaderChain(Flash(), genesis)
        assert chain.extend(first, None, None)
        assert chain.extend(second, None, None) == moved
        assert chain.hash == header.hash_of(pair[0][0])


def test_false_headers_change_nothing():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    heads = branch(genesis.hash, 5)
    chain.extend(heads[:2], None, None)
    before = bytes(chain._flash.data)
    good = heads[2:]

    def refused(field, heads, now=None, kind=ChainError):
        assert raises(kind, chain.extend, heads, None, now).field == field
        assert bytes(chain._flash.data) == before

    refused("previous", heads[3:], None, Orphan)
    refused("previous", [good[0], good[2]])
    refused("time", good, TIME - 8000)
    refused("header", [good[0][:80]])
    weak = header.decode(good[0])
    while weak.hash() < header.target(2):
        weak.nonce += 1
    refused("nonce", [weak.encode()] + good[1:])
    refused("difficulty", branch(header.hash_of(heads[1]), 1, 3, TIME + 50, 1))
    refused("time", branch(header.hash_of(heads[1]), 1, 3, TIME + 10))
    assert chain.height == 2
    assert chain.extend(good, None, TIME)


def test_the_ring_keeps_128_headers_and_its_base_moves_up():
    genesis, flash = Pinned(), Flash()
    chain = HeaderChain(flash, genesis)
    heads = branch(genesis.hash, 300)
    for at in range(0, 300, 7):
        chain.extend(heads[at : at + 7], counters(heads)[at : at + 7], None)
    assert chain.height == 300 and 112 <= chain.height - chain.base.height <= 128
    again = HeaderChain(Flash(flash.data), genesis)
    for found in (chain, again):
        assert (found.height, found.hash, found.tip().counter) == (300, header.hash_of(heads[-1]), 300)
        low = found.base.height
        assert found.base.hash == header.hash_of(heads[low - 1]) and found.base.counter == low
        assert found.base.times == [TIME + 10 + n for n in range(low - 11, low)]
        assert found.times(low + 3) == [TIME + 10 + n for n in range(low - 8, low + 3)]
        assert found.header(low + 1) == heads[low]
        assert raises(ChainError, found.header, low).field == "height"
    deep = branch(header.hash_of(heads[low - 2]), 130, 9, TIME + 2000)
    assert isinstance(raises(ChainError, chain.extend, deep, None, None), Orphan)


def test_a_power_cut_at_any_byte_of_an_append_leaves_the_old_chain_or_the_new():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    heads = branch(genesis.hash, 4)
    chain.extend(heads[:3], counters(heads)[:3], None)
    before = bytes(chain._flash.data)
    for cut in range(97):
        flash = Flash(before)
        flash.cut_at = cut
        work = HeaderChain(flash, genesis)
        try:
            work.extend(heads[3:], [4], None)
            assert cut == 96
        except PowerCut:
            pass
        after = HeaderChain(Flash(flash.data), genesis)
        assert after.height == (4 if cut == 96 else 3)
        assert after.extend(heads[after.height :], [4] if after.height < 4 else None, None) or cut == 96
        assert after.hash == header.hash_of(heads[3])


def test_a_power_cut_at_any_byte_while_the_base_moves():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    heads = branch(genesis.hash, 146)
    chain.extend(heads[:144], None, None)
    assert chain.height - chain.base.height == 128
    before = bytes(chain._flash.data)
    total = cut_points(before, genesis, heads[144:])
    for cut in range(total + 1):
        flash = Flash(before)
        flash.cut_at = cut
        work = HeaderChain(flash, genesis)
        try:
            work.extend(heads[144:], None, None)
        except PowerCut:
            pass
        after = HeaderChain(Flash(flash.data), genesis)
        assert after.height >= 144, (cut, after.height)
        assert after.hash == header.hash_of(heads[after.height - 1])
        if after.height < 146:
            assert after.extend(heads[after.height :], None, None)


def cut_points(before, genesis, heads):
    """How many bytes it takes to append the headers."""
    flash = Flash(before)
    HeaderChain(flash, genesis).extend(heads, None, None)
    return flash.written


def test_a_power_cut_at_any_byte_of_a_reorganisation():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    ours = branch(genesis.hash, 6)
    theirs = ours[:2] + branch(header.hash_of(ours[1]), 5, 8, TIME + 60)
    chain.extend(ours, counters(ours), None)
    before = bytes(chain._flash.data)
    total = cut_points(before, genesis, theirs)
    for cut in range(total):
        flash = Flash(before)
        flash.cut_at = cut
        try:
            HeaderChain(flash, genesis).extend(theirs, counters(theirs), None)
        except PowerCut:
            pass
        after = HeaderChain(Flash(flash.data), genesis)
        assert after.height >= 2
        known = [header.hash_of(heads[after.height - 1]) for heads in (ours, theirs) if after.height <= len(heads)]
        assert after.hash in known, cut
        found = [after.header(n) for n in range(1, after.height + 1)]
        assert found in (ours[: after.height], theirs[: after.height]), cut
        assert after.extend(theirs, counters(theirs), None)
        assert after.hash == header.hash_of(theirs[-1])


def test_a_damaged_byte_never_gives_a_false_header():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    heads = branch(genesis.hash, 3)
    chain.extend(heads, counters(heads), None)
    data = chain._flash.data
    for at in range(384 + 96, 384 + 4 * 96):
        flash = Flash(data)
        flash.data[at] ^= 0x10
        after = HeaderChain(flash, genesis)
        assert after.height == (at - 384) // 96 - 1
        assert [after.header(n) for n in range(1, after.height + 1)] == heads[: after.height]


def test_the_file_of_another_network_is_not_taken():
    chain = HeaderChain(Flash(), Pinned())
    heads = branch(Pinned().hash, 150)
    chain.extend(heads, None, None)
    other = HeaderChain(chain._flash, Pinned(b"b"))
    assert (other.height, other.hash) == (0, Pinned(b"b").hash)


def test_ring_file():
    path = "ring_test.tmp"
    try:
        os.remove(path)
    except OSError:
        pass
    genesis = Pinned()
    heads = branch(genesis.hash, 5)
    try:
        file = RingFile(path)
        chain = HeaderChain(file, genesis)
        chain.extend(heads, None, None)
        file.close()
        assert os.stat(path)[6] == FILE_SIZE
        with open(path, "rb") as again:
            data = again.read()
        assert struct.unpack_from("<Q", data, 384 + 96 + 72)[0] == TIME + 10
        file = RingFile(path)
        assert HeaderChain(file, genesis).hash == header.hash_of(heads[-1])
        assert raises(ChainError, HeaderChain(file, genesis).tip).field == "counter"  # came without heads
        file.close()
    finally:
        os.remove(path)
