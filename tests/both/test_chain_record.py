"""Verification logs, release records, inclusions, proofs and checkpoints."""

from chain_parts import DIFFICULTY, MODEL, TIME, Network, key
from fwnode import crypto
from fwnode.chain import ChainError, checkpoint, header, pow, proof
from fwnode.chain import block as blocks
from fwnode.chain.log import MAX_LOG, Log
from fwnode.chain.record import ReleaseRecord
from fwnode.trust import Untrusted
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from support import raises, run

_kept = []


def network():
    """One network for all tests of this file."""
    if not _kept:
        _kept.append(Network())
    return _kept[0]


def check(log, authority=None, at=TIME + 100):
    """The signer of a log, after every rule of it."""
    net = network()
    return run(Log(log, net.net).check(authority or net.authority, at, DIFFICULTY))


def forged(log, **changes):
    """The log with fields changed and the old signature."""
    body = decode(log)
    body.update(changes)
    return encode(body)


def test_outcomes():
    net = network()
    for outcome, success in (
        ("current", True),
        ("updated", True),
        ("repaired", True),
        ("tampered", False),
        ("failed", False),
        ("rolled-back", False),
    ):
        assert Log(net.log(1, outcome=outcome), net.net).success == success
    assert raises(ChainError, Log, net.log(1, outcome="answered"), net.net).field == "outcome"
    assert raises(ChainError, Log, net.log(1, outcome="perfect"), net.net).field == "outcome"


def test_a_log_is_bound_to_every_field_by_its_signature():
    net = network()
    log = net.log(1)
    assert check(log) == net.board(1)[1]
    for change in (
        {"res": b"x" * 20},
        {"ts": TIME},
        {"o": b"updated"},
        {"v": b"1.0.1"},
        {"h": bytes(32)},
        {"sig": bytes(64)},
    ):
        assert raises(ChainError, check, forged(log, **change)).field == "signature", change


def test_the_request_id_is_made_from_the_signers_key_and_r():
    net = network()
    log = net.log(1)
    assert raises(ChainError, check, forged(log, r=1001)).field == "from"
    other = message.node_id(net.board(2)[1], 1000)
    assert raises(ChainError, check, forged(log, **{"from": other, "req": other})).field == "from"
    assert raises(ChainError, Log, forged(log, req=other), net.net).field == "from"


def test_a_log_of_another_network():
    net = network()
    assert raises(ChainError, Log, net.log(1, net=b"another!"), net.net).field == "net"


def test_another_message_is_no_log():
    net = network()
    private, public, certificate = net.board(1)
    ask = message.new("req_verchk", net.net, message.node_id(public, 1), b"", 1)
    ask.update({"d": MODEL.encode(), "v": b"1.0.0", "ts": TIME, "port": 4000, "cert": certificate})
    assert raises(ChainError, Log, run(message.sign(private, ask)), net.net).field == "log"


def test_a_log_that_is_too_long_or_malformed():
    net = network()
    assert raises(ChainError, Log, bytes(MAX_LOG + 1), net.net).field == "log"
    log = net.log(1)
    for cut in range(0, len(log), 29):
        raises(WireError, Log, log[:cut], net.net)
    raises((ChainError, WireError), Log, forged(log, d=b"two words"), net.net)


def test_uncertified_revoked_and_other_models_do_not_count():
    net = network()
    private, public = key(67)
    stranger = net.log(1, sender="pu")
    assert raises(Untrusted, check, stranger).reason == "certificate"
    other = net.log(8, model="other-model")
    assert run(Log(other, net.net).check(net.authority, TIME, DIFFICULTY))
    body = decode(other)
    body["d"] = MODEL.encode()  # a board of another model speaks for this one
    assert raises(Untrusted, check, encode(body)).reason == "certificate"
    from fwnode.chain.authority import Authority
    from fwnode.trust import root

    revoked = [crypto.sha256(net.board(1)[1])[:20]]
    later = root.Root(run(root.build(net.root_body(2, revoked), [net.owner])))
    assert raises(Untrusted, check, net.log(1), Authority(later, True)).reason == "revoked"


def test_open_enrolment_takes_a_bare_key():
    net = Network(certified=False)
    log = net.log(1, sender="pu")
    assert run(Log(log, net.net).check(net.authority, TIME, DIFFICULTY)) == net.board(1)[1]


def test_a_confirmation_needs_its_work():
    net = network()
    join = crypto.sha256(b"join")
    log = net.confirmation(3, 1, 2, join)
    assert check(log) == net.board(3)[1]
    public = net.board(3)[1]
    nonce = decode(log)["nonce"]
    while True:  # a nonce without work
        nonce += 1
        try:
            pow.check_confirmation(join, public, nonce, DIFFICULTY)
        except ChainError:
            break
    assert raises(ChainError, check, net.confirmation(3, 1, 2, join, nonce=nonce)).field == "nonce"
    early = net.confirmation(3, 1, 2, crypto.sha256(b"what came before r"))
    late = decode(early)["nonce"]
    while True:  # work for another join counts for this one only by chance: take a join where it does not
        other = crypto.sha256(b"join %d" % late)
        try:
            pow.check_confirmation(other, public, late, DIFFICULTY)
            late += 1
        except ChainError:
            break
    assert raises(ChainError, check, net.confirmation(3, 1, 2, other, nonce=late)).field == "nonce"


def test_the_request_node_does_not_confirm_itself_and_others_do_not_log_for_it():
    net = network()
    join = crypto.sha256(b"join")
    assert raises(ChainError, Log, net.confirmation(1, 1, 2, join), net.net).field == "from"
    log = net.log(1)
    assert raises(ChainError, Log, forged(log, o=b"confirmed"), net.net).field == "outcome"
    assert raises(ChainError, Log, forged(log, join=join, nonce=1), net.net).field == "outcome"


# the release record


def record(net, signers, **changes):
    """An encoded release record, signed by the private keys of `signers`."""
    body = {
        "model": MODEL,
        "version": "1.1.0",
        "verifier": crypto.sha256(b"firmware 1.1.0"),
        "epoch": 0,
    }
    body.update(changes)
    signed = b"fwchain/1 release\0" + encode(body)
    pairs = [[message.key_id(crypto.public_key(one)), crypto.sign(one, signed)] for one in signers]
    return encode({"t": "release", "release": body, "release-sigs": pairs})


def test_a_verification_nodes_block_announces_a_release():
    net = network()
    data = record(net, [net.vendor])
    block = net.check(net.by_node(net.genesis.link(), [], data), net.genesis.link())
    found = block.release
    assert (found.model, found.version, found.verifier) == (MODEL, "1.1.0", crypto.sha256(b"firmware 1.1.0"))
    assert block.leaves()[-1] == data


def test_a_release_record_without_the_vendors_signature():
    net = network()
    for signers in ([], [net.node], [key(68)[0]]):
        data = net.by_node(net.genesis.link(), [], record(net, signers))
        assert raises(ChainError, net.check, data, net.genesis.link()).field == "release-sigs"
    whole = decode(record(net, [net.vendor]))
    whole["release"]["version"] = b"9.9.9"
    data = net.by_node(net.genesis.link(), [], encode(whole))
    assert raises(ChainError, net.check, data, net.genesis.link()).field == "release-sigs"


def test_a_normal_nodes_block_announces_no_release():
    net = network()
    private, public, certificate = net.board(1)
    link = net.genesis.link()
    field = blocks.verification_field(public, False, link, [], record(net, [net.vendor]))
    data = run(blocks.make(private, {"cert": certificate}, net.genesis, link, TIME + 100, 1, field))
    assert raises(ChainError, net.check, data, link).field == "release"


def test_malformed_release_records():
    net = network()
    good = decode(record(net, [net.vendor]))
    for name, value in (("t", b"log"), ("release", 1), ("release-sigs", 1), ("release-sigs", [[b"x"]]), ("more", 1)):
        body = dict(good)
        body[name] = value
        raises((ChainError, WireError), ReleaseRecord, encode(body))
    assert raises(ChainError, ReleaseRecord, bytes(7000)).field == "release"


# inclusions and proofs


def chain_of_two(net):
    """(blocks, links) of a chain of two blocks on genesis; the first holds five logs."""
    genesis = net.genesis.link()
    first = net.by_node(genesis, [net.log(n) for n in range(1, 6)])
    link = net.link(first, genesis)
    second = net.by_node(link, [net.log(6)], time=TIME + 200)
    return [first, second], [link, net.link(second, link)]


def test_inclusion_of_a_boards_own_log_under_a_header():
    net = network()
    block = net.block(chain_of_two(net)[0][0])
    for index in range(6):
        found = proof.Inclusion(proof.inclusion(1, block, index))
        found.check(block.head)
        assert found.leaf == block.leaves()[index]
    other = net.block(chain_of_two(net)[0][1])
    assert raises(ChainError, found.check, other.head).field == "hash"
    found.leaf = net.log(9)
    assert raises(ChainError, found.check, block.head).field == "path"


def proof_of(net, **changes):
    (first, second), _ = chain_of_two(net)
    block = net.block(first)
    parts = [
        proof.inclusion(1, block, 3),
        block.announcement(),
        block.head + net.block(second).head,
        [net.root_data],
    ]
    for index, value in changes.items():
        parts[int(index[1:])] = value
    return proof.build(*parts)


def test_a_proof_needs_genesis_alone():
    net = network()
    found, height, above, covered = run(proof.check(proof_of(net), net.genesis))
    assert found.data == net.log(3) and (height, above, covered) == (1, 1, None)


def test_a_proof_with_a_checkpoint_above_or_below_the_block_needs_no_other_headers():
    net = network()
    (first, second), (one, two) = chain_of_two(net)
    third = net.by_node(two, [net.log(7)], time=TIME + 300)
    blocks_ = [net.block(data) for data in (first, second, third)]
    heads = [block.head for block in blocks_]

    def signed(link, private=net.node):
        return run(checkpoint.sign(checkpoint.build(net.net, link), net.net, private))

    def proven(height, index, given, point, genesis=net.genesis):
        block = blocks_[height - 1]
        included = proof.inclusion(height, block, index)
        data = proof.build(included, block.announcement(), b"".join(given), [net.root_data], point)
        return proof.check(data, genesis)

    found, height, above, covered = run(proven(1, 3, heads[:2], signed(two)))
    assert found.data == net.log(3) and (height, above, covered.height) == (1, 1, 2)
    found, height, above, covered = run(proven(2, 1, heads[1:2], signed(two)))
    assert found.data == net.log(6) and (height, above, covered.height) == (2, 0, 2)
    found, height, above, covered = run(proven(3, 1, heads[1:], signed(one)))
    assert found.data == net.log(7) and (height, above, covered) == (3, 0, None)
    for height, index, given, point, field in (
        (1, 3, heads[:2], signed(two, net.vendor), "checkpoint"),
        (1, 3, heads[:2], checkpoint.build(net.net, two), "checkpoint"),
        (1, 3, heads[:1], signed(two), "heads"),
        (1, 3, heads, signed(two), "heads"),
        (1, 3, [heads[0], heads[2]], signed(two), "heads"),
        (1, 3, [heads[1], heads[0]], signed(two), "heads"),
        (3, 1, heads[2:], signed(one), "heads"),
        (3, 1, heads[1:2], signed(one), "heads"),
        (3, 1, heads, signed(one), "heads"),
    ):
        assert raises(ChainError, proven, height, index, given, point).field == field, (height, field)


def test_false_proofs():
    net = network()
    (first, second), _ = chain_of_two(net)
    one, two = net.block(first), net.block(second)

    def refused(kind=ChainError, genesis=None, **changes):
        return raises(kind, proof.check, proof_of(net, **changes), genesis or net.genesis)

    assert refused(p0=proof.inclusion(1, two, 1)).field == "hash"
    assert refused(p0=proof.inclusion(2, one, 3)).field == "block"
    assert refused(p0=proof.inclusion(9, one, 3)).field == "heads"
    assert refused(p1=two.announcement()).field == "block"
    assert refused(p2=two.head + one.head).field == "heads"
    assert refused(p2=one.head[:-1] + bytes([one.head[-1] ^ 1]) + two.head).field in ("nonce", "heads", "block")
    body = decode(one.announcement())
    body["sig"] = bytes(64)
    assert refused(p1=encode(body)).field == "signature"
    stranger = Network()
    stranger.owner, stranger.owner_public = key(69)
    from fwnode.trust import root

    assert refused(Untrusted, p3=[run(root.build(stranger.root_body(1, []), [stranger.owner]))])
    included = decode(proof.inclusion(1, one, 3))
    included["leaf"] = net.log(9)
    assert refused(p0=encode(included)).field == "path"
    included = decode(proof.inclusion(1, one, 3))
    included["i"] = 4
    assert refused(p0=encode(included)).field == "path"
    other = Network(difficulty=DIFFICULTY + 1)
    refused(genesis=other.genesis)
    whole = proof_of(net)
    for cut in range(0, len(whole), 101):
        raises((ChainError, WireError), proof.check, whole[:cut], net.genesis)


def test_a_proof_of_a_log_that_its_signer_did_not_sign():
    net = network()
    forged = decode(net.log(1))
    forged["h"] = bytes(32)
    block = net.block(net.by_node(net.genesis.link(), [encode(forged)]))  # its maker is the liar
    data = proof.build(proof.inclusion(1, block, 1), block.announcement(), block.head, [net.root_data])
    assert raises(ChainError, proof.check, data, net.genesis).field == "signature"


def test_a_proof_whose_headers_show_no_work_or_go_back_in_time():
    net = network()
    (first, _), _ = chain_of_two(net)
    block = net.block(first)

    def with_header(made):
        return proof.build(proof.inclusion(1, block, 3), block.announcement(), block.head + made, [net.root_data])

    idle = header.Header(100, block.hash, bytes(32), TIME + 200, DIFFICULTY)
    while idle.hash() < header.target(DIFFICULTY):
        idle.nonce += 1
    assert raises(ChainError, proof.check, with_header(idle.encode()), net.genesis).field == "nonce"
    early = header.Header(100, block.hash, bytes(32), TIME + 100, DIFFICULTY)
    mined = run(pow.mine(early.encode(), DIFFICULTY))
    assert raises(ChainError, proof.check, with_header(mined), net.genesis).field == "time"


# checkpoints


def test_a_checkpoint_needs_the_threshold_of_verification_nodes():
    net = network()
    link = chain_of_two(net)[1][0]
    unsigned = checkpoint.build(net.net, link)
    found = checkpoint.Checkpoint(unsigned, net.net)
    assert raises(ChainError, found.check, net.root).field == "checkpoint"
    stranger = checkpoint.Checkpoint(run(checkpoint.sign(unsigned, net.net, net.vendor)), net.net)
    assert raises(ChainError, stranger.check, net.root).field == "checkpoint"
    signed = run(checkpoint.sign(unsigned, net.net, net.node))
    found = checkpoint.Checkpoint(signed, net.net)
    run(found.check(net.root))
    told = found.link()
    assert (told.height, told.hash, told.counter, told.root, told.times) == (1, link.hash, 0, 1, link.times)
    body = decode(signed)
    body["hash"] = bytes(32)
    false = checkpoint.Checkpoint(encode(body), net.net)
    assert raises(ChainError, false.check, net.root).field == "checkpoint"
    assert raises(ChainError, checkpoint.Checkpoint, signed, b"another!").field == "net"


def test_one_verification_nodes_signature_counts_once():
    net = network()
    from fwnode.trust import root

    second, second_public = key(70)
    body = net.root_body(1, [], **{"nodes": [net.node_public, second_public], "node-threshold": 2})
    two = root.Root(run(root.build(body, [net.owner])))
    unsigned = checkpoint.build(net.net, chain_of_two(net)[1][0])
    signed = run(checkpoint.sign(unsigned, net.net, net.node))
    twice = decode(signed)
    twice["sigs"] = twice["sigs"] * 2
    false = checkpoint.Checkpoint(encode(twice), net.net)
    assert raises(ChainError, false.check, two).field == "checkpoint"
    both = run(checkpoint.sign(signed, net.net, second))
    run(checkpoint.Checkpoint(both, net.net).check(two))
