"""Checkpoints, signed heads and proofs on a board, which keeps headers alone."""

from chain_parts import DIFFICULTY, TIME, Network
from fwnode import crypto
from fwnode.chain import ChainError, checkpoint, header, proof
from fwnode.chain.authority import Authority
from fwnode.chain.head import Head, Link
from fwnode.chain.headers import HeaderChain, Orphan
from fwnode.trust import Untrusted, root
from fwnode.wire.bencode import decode, encode
from header_parts import Flash, Pinned, branch, counters
from support import raises, run


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
