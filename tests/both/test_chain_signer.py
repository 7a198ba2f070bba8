"""Who may sign a block: not those that are revoked, expired, unknown or somebody else."""

from block_parts import changed, network, refused
from chain_parts import DIFFICULTY, MODEL, TIME, Network, key
from fwnode.chain import ChainError
from fwnode.chain import block as blocks
from fwnode.chain.authority import Authority
from fwnode.chain.head import Head, Link
from fwnode.chain.pow import mine
from fwnode.trust import Untrusted
from fwnode.trust.cert import Certificate
from fwnode.trust.root import Root
from fwnode.trust.root import build as build_root
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode
from support import raises, run


def test_a_verification_node_that_is_revoked():
    net = network()
    revoked = [message.key_id(net.node_public)]
    later = Root(run(build_root(net.root_body(2, revoked), [net.owner])))
    block = net.block(net.by_node(net.genesis.link(), [net.log(1)]))
    assert raises(Untrusted, run, block.check_head(Authority(later, True))).reason == "revoked"


def test_a_block_signed_by_nobody_known():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    private, public = key(66)
    body = decode(data)
    field = dict(body["f"])
    field["by"] = message.key_id(public)
    field["c"] = 1
    head = run(mine(blocks.assemble(net.genesis.link(), TIME + 100, DIFFICULTY, 1, field), DIFFICULTY))
    stranger = run(blocks.sign(private, net.net, head, 1, 1, {"pu": public}, field))
    error = raises(Untrusted, net.check, stranger, net.genesis.link())
    assert error.reason == "certificate"
    net.authority.certified = False  # enrolment = open: as in the paper, any key counts
    net.check(stranger, net.genesis.link())
    net.authority.certified = True


def test_a_block_re_signed_by_another():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    body = decode(data)
    private, public, certificate = net.board(1)
    thief = run(blocks.sign(private, net.net, body["head"], 0, 1, {"cert": certificate}, body["f"]))
    error = raises(ChainError, run, net.block(thief).check_head(net.authority))
    assert error.field == "by"  # the field, and with it the hash, names the signer


def test_a_forged_signature():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    refused(ChainError, "signature", changed(data, sig=bytes(64)))
    refused(ChainError, "signature", changed(data, sig=b"\x01" * 64))


def test_a_certificate_that_is_expired_at_the_blocks_time_or_forged():
    net = network()
    data = net.by_board(1, net.genesis.link(), [net.log(2)], time=TIME + 10**8 + 1)
    assert raises(Untrusted, net.check, data, net.genesis.link()).reason == "expired"
    body = decode(net.board(1)[2])
    body["exp"] += 10**9
    net2 = Network()
    net2._boards[(1, MODEL)] = net.board(1)[:2] + (encode(body),)
    assert Certificate(encode(body)).expires > TIME + 10**9
    data = net2.by_board(1, net.genesis.link(), [net.log(2)])
    assert raises(Untrusted, net.check, data, net.genesis.link()).reason == "certificate"


def test_a_lower_trust_root_than_the_parents_and_one_that_is_not_known():
    net = network()
    genesis = net.genesis.link()
    data = net.by_node(genesis, [net.log(1)])
    refused(ChainError, "trust root", data, Link(0, genesis.hash, 0, 2, [TIME]))
    refused(ChainError, "trust root", net.by_node(genesis, [net.log(1)], root=2))


def test_a_head_told_for_another_counter_or_root_is_not_signed():
    net = network()
    block = net.block(net.by_node(net.genesis.link(), [net.log(1)]))
    head = Head(changed(block.announcement(), c=7), net.net)
    assert raises(ChainError, run, head.check_head(net.authority)).field == "signature"
