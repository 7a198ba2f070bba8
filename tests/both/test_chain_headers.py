"""A board's header chain: most work, ties, reorganisation, the ring in flash, and power cuts at every byte."""

import os
import struct

from chain_parts import DIFFICULTY, TIME, Network
from fwnode import crypto
from fwnode.chain import ChainError, checkpoint, header, proof
from fwnode.chain.authority import Authority
from fwnode.chain.head import Head, Link
from fwnode.chain.headers import FILE_SIZE, HeaderChain, Orphan
from fwnode.chain.pow import mine
from fwnode.headers_file import RingFile
from fwnode.trust import Untrusted, root
from fwnode.wire.bencode import decode, encode
from support import raises, run


class PowerCut(Exception):
    """The power went away."""


class Flash:
    """A file in RAM whose power can be cut after so many bytes written."""

    def __init__(self, data=None):
        self.data = bytearray(data or bytes(FILE_SIZE))
        self.written = 0
        self.cut_at = None

    def readinto(self, offset, buffer):
        buffer[:] = self.data[offset : offset + len(buffer)]

    def write(self, offset, data):
        for byte in data:
            if self.written == self.cut_at:
                raise PowerCut
            self.data[offset] = byte
            offset += 1
            self.written += 1

    def sync(self):
        self.syncs = getattr(self, "syncs", 0) + 1


class Pinned:
    """What HeaderChain needs of a genesis, with little work."""

    difficulty = 2

    def __init__(self, name=b"a"):
        self.hash = crypto.sha256(name)
        self.net = self.hash[:8]

    def link(self):
        return Link(0, self.hash, 0, 1, [TIME])


def branch(previous, count, salt=0, time=TIME + 10, difficulty=2):
    """Headers one on the other, the first on `previous`."""
    heads = []
    for n in range(count):
        root = crypto.sha256(b"%d %d" % (salt, n))
        data = run(mine(header.Header(100, previous, root, time + n, difficulty).encode(), difficulty))
        heads.append(data)
        previous = header.hash_of(data)
    return heads


def counters(heads):
    return list(range(1, len(heads) + 1))


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


def test_a_checkpoint_becomes_the_base():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    heads = branch(genesis.hash, 30)
    chain.extend(heads, counters(heads), None)
    times = [TIME + 10 + n for n in range(9, 20)]
    point = Link(20, header.hash_of(heads[19]), 20, 1, times)
    data = checkpoint.build(genesis.net, point)
    found = checkpoint.Checkpoint(data, genesis.net)
    assert chain.set_checkpoint(found) and not chain.set_checkpoint(found)
    for one in (chain, HeaderChain(Flash(chain._flash.data), genesis)):
        assert (one.base.height, one.height, one.hash) == (20, 30, header.hash_of(heads[-1]))
        assert one.tip().counter == 30
    deep = branch(header.hash_of(heads[18]), 40, 3, TIME + 200)
    assert isinstance(raises(ChainError, chain.extend, deep, None, None), Orphan)


def test_a_checkpoint_of_another_branch_replaces_ours():
    genesis = Pinned()
    chain = HeaderChain(Flash(), genesis)
    heads = branch(genesis.hash, 30)
    chain.extend(heads, counters(heads), None)
    other = branch(genesis.hash, 22, 4)
    point = Link(20, header.hash_of(other[19]), 7, 1, [TIME + 10 + n for n in range(9, 20)])
    chain.set_checkpoint(checkpoint.Checkpoint(checkpoint.build(genesis.net, point), genesis.net))
    assert (chain.height, chain.hash) == (20, point.hash)
    assert HeaderChain(Flash(chain._flash.data), genesis).hash == point.hash
    assert chain.extend(other[20:], [8, 9], None) and chain.height == 22
    far = Link(500, b"f" * 32, 400, 2, [TIME + 900 + n for n in range(11)])
    chain.set_checkpoint(checkpoint.Checkpoint(checkpoint.build(genesis.net, far), genesis.net))
    for one in (chain, HeaderChain(Flash(chain._flash.data), genesis)):
        assert (one.height, one.hash, one.tip().root, one.tip().counter) == (500, b"f" * 32, 2, 400)


def test_a_board_steps_over_what_a_retired_key_signed_by_a_checkpoint():
    net = Network()
    genesis = net.genesis.link()
    first = net.by_board(1, genesis, [net.log(2)])  # signed by a key that root 2 revokes
    link = net.link(first, genesis)
    second = net.by_node(link, [net.log(3)], time=TIME + 200, root=2)
    tip = net.link(second, link)
    revoked = [crypto.sha256(net.board(1)[1])[:20]]
    newer = root.Root(run(root.build(net.root_body(2, revoked), [net.owner])))
    authority = Authority(newer, True)
    chain = HeaderChain(Flash(), net.genesis)
    heads = [net.block(data).announcement() for data in (first, second)]
    assert raises(Untrusted, chain.take, heads[:1], authority, None).reason == "revoked"
    assert chain.height == 0
    below = HeaderChain(Flash(), net.genesis)
    assert run(below.take(heads, authority, None)) and below.height == 2  # the second answers for the first
    unsigned = checkpoint.build(net.net, tip)
    assert raises(ChainError, chain.take_checkpoint, unsigned, newer).field == "checkpoint"
    assert chain.height == 0
    signed = run(checkpoint.sign(unsigned, net.net, net.node))
    assert run(chain.take_checkpoint(signed, newer)) and not run(chain.take_checkpoint(unsigned, newer))
    assert (chain.height, chain.hash, chain.tip().root) == (2, tip.hash, 2)
    third = net.by_node(chain.tip(), [net.log(4)], time=TIME + 300, root=2)
    assert run(chain.take([net.block(third).announcement()], authority, None)) and chain.height == 3


def test_signed_heads_are_taken_only_with_their_signatures():
    net = Network()
    chain = HeaderChain(Flash(), net.genesis)
    genesis = net.genesis.link()
    first = net.by_board(1, genesis, [net.log(1)])
    link = net.link(first, genesis)
    second = net.by_node(link, [net.log(2)], time=TIME + 200)
    heads = [net.block(first).announcement(), net.block(second).announcement()]
    body = decode(heads[1])
    body["c"] = 9
    false = encode(body)
    error = raises(ChainError, chain.take, [heads[0], false], net.authority, None)
    assert error.field == "signature" and chain.height == 0  # nothing of the batch is kept
    assert run(chain.take(heads, net.authority, None))
    assert (chain.height, chain.counter, chain.tip().counter) == (2, 1, 1)
    third = net.block(net.by_board(2, chain.tip(), [net.log(3)], TIME + 300))
    assert run(chain.take([third.encode()], net.authority, None))  # a whole block will do
    assert chain.tip().counter == 2


def test_one_signature_answers_for_the_headers_below_it():
    net = Network()
    parent = net.genesis.link()
    made = []
    for n in range(5):
        data = net.by_board(9, parent, [net.log(n)], TIME + 100 + 10 * n)
        made.append(net.block(data))
        parent = net.link(data, parent)
    heads = [block.head for block in made]
    chain = HeaderChain(Flash(), net.genesis)
    counted = []
    check = Head.check_head

    def counting(self, authority):
        counted.append(self.hash)
        return check(self, authority)

    Head.check_head = counting
    try:
        assert run(chain.take(heads[:4] + [made[4].announcement()], net.authority, None))
        assert counted == [made[4].hash]
        assert (chain.height, chain.counter) == (5, 5) and chain.counter_at(3) is None
        assert not run(chain.take([made[4].announcement()], net.authority, None)) and len(counted) == 1
    finally:
        Head.check_head = check
    chain = HeaderChain(Flash(), net.genesis)
    for wrong in ([], heads, heads[:4] + [made[3].head]):
        assert raises(ChainError, chain.take, wrong, net.authority, None).field == "head"
    gap = heads[:2] + [made[4].announcement()]
    assert raises(ChainError, chain.take, gap, net.authority, None).field == "previous"
    assert chain.height == 0


def test_a_board_proves_its_own_log_with_the_headers_that_it_keeps():
    net = Network()
    genesis = net.genesis.link()
    first = net.by_node(genesis, [net.log(n) for n in range(1, 6)])
    link = net.link(first, genesis)
    second = net.by_node(link, [net.log(6)], time=TIME + 200)
    chain = HeaderChain(Flash(), net.genesis)
    blocks = [net.block(first), net.block(second)]
    run(chain.take([block.announcement() for block in blocks], net.authority, None))
    own = proof.Inclusion(proof.inclusion(1, blocks[0], 4))  # as a node sends it
    own.check(chain.header(own.height))
    assert own.leaf == net.log(4)
    false = proof.Inclusion(proof.inclusion(2, blocks[0], 4))
    assert raises(ChainError, false.check, chain.header(false.height)).field == "hash"


def test_cheap_checks_come_before_signatures():
    net = Network()
    chain = HeaderChain(Flash(), net.genesis)
    data = net.by_node(Link(0, b"x" * 32, 0, 1, [TIME]), [net.log(1)])
    assert isinstance(raises(ChainError, chain.take, [net.block(data).announcement()], None, None), Orphan)
    assert chain.difficulty == DIFFICULTY


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
