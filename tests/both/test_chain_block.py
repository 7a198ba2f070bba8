"""Paper 3.2, the block's structure field by field, and every rule that a malformed or false block breaks."""

import struct

from block_parts import changed, network, rebuilt, refused
from chain_parts import DIFFICULTY, MODEL, TIME
from fwnode import crypto
from fwnode.chain import ChainError, merkle
from fwnode.chain import block as blocks
from fwnode.chain import header as headers
from fwnode.chain.head import MAX_BLOCK, Head, Link
from fwnode.chain.log import Log
from fwnode.chain.pow import mine
from fwnode.trust import Untrusted
from fwnode.wire import WireError, message
from fwnode.wire.bencode import decode, encode
from support import raises, run

# 3.2, the header: block size, version, previous block header hash, merkle root


def test_3_2_header_is_88_bytes_in_the_order_of_the_design():
    data = bytes(range(88))
    size, version, previous, root, time, difficulty, nonce = struct.unpack("<II32s32sQII", data)
    made = headers.Header(size, previous, root, time, difficulty, nonce, version)
    assert made.encode() == data and headers.SIZE == 88
    assert made.hash() == crypto.sha256(data)


def test_3_2_block_size_is_header_and_verification_field():
    net = network()
    block = net.block(net.by_node(net.genesis.link(), [net.log(1)]))
    assert block.header.size == 88 + len(encode(block.field))


def test_3_2_version_is_one_and_another_is_refused():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    assert net.block(data).header.version == 1
    refused(ChainError, "version", rebuilt(net, data, version=2))


def test_3_2_previous_block_header_hash_is_sha256_of_the_parents_88_bytes():
    net = network()
    first = net.by_node(net.genesis.link(), [net.log(1)])
    link = net.link(first, net.genesis.link())
    second = net.block(net.by_node(link, [net.log(2)], time=TIME + 200))
    assert second.header.previous == crypto.sha256(decode(first)["head"])


def test_3_2_merkle_root_is_recomputed_from_the_records_and_not_stored():
    net = network()
    block = net.block(net.by_node(net.genesis.link(), [net.log(1), net.log(2)]))
    assert block.header.root == merkle.root(block.leaves())
    assert block.leaves()[1:] == [log.data for log in block.logs]
    assert b"merkle" not in block.encode() and block.header.root not in encode(block.field)


# 3.2, the verification field


def test_3_2_verification_counter_is_zero_in_a_verification_nodes_block():
    net = network()
    block = net.check(net.by_node(net.genesis.link(), [net.log(1), net.log(2)]), net.genesis.link())
    assert block.own_counter == 0 and block.counter == 0


def test_3_2_verification_counter_of_a_normal_node_counts_successes_like_a_height():
    net = network()
    genesis = net.genesis.link()
    first = net.by_board(1, genesis, [net.log(1), net.log(2, outcome="tampered"), net.log(3)])
    assert net.check(first, genesis).own_counter == 2
    link = net.link(first, genesis)
    by_node = net.by_node(link, [net.log(4)], time=TIME + 200)
    assert net.check(by_node, link).own_counter == 0
    link = net.link(by_node, link)
    assert link.counter == 2
    third = net.by_board(2, link, [net.log(5)], TIME + 300)
    assert net.check(third, link).own_counter == 3  # the nearest normal ancestor's, and one


def test_3_2_verification_log_has_time_request_id_response_id_and_signature():
    net = network()
    log = net.block(net.by_node(net.genesis.link(), [net.log(1, r=5)])).logs[0]
    private, public, certificate = net.board(1)
    assert log.time == TIME + 10
    assert log.request == message.node_id(public, 5)
    assert log.response == message.key_id(net.node_public)  # C1: the verification node's ID
    assert len(log.body["sig"]) == 64 and log.body["cert"] == certificate
    assert run(log.check(net.authority, TIME, DIFFICULTY)) == public


def test_3_2_verification_log_of_c2_has_the_response_nodes_id_and_its_work():
    net = network()
    log = net.confirmation(3, 1, 2, b"j" * 32, r=9)
    data = net.by_board(2, net.genesis.link(), [log])
    found = net.check(data, net.genesis.link()).logs[0]
    assert found.request == message.node_id(net.board(1)[1], 9)
    assert found.response == message.node_id(net.board(2)[1], 9)
    assert found.body["from"] == message.node_id(net.board(3)[1], 9)


def test_3_2_model_name_firmware_version_and_verifier():
    net = network()
    log = net.block(net.by_node(net.genesis.link(), [net.log(1)])).logs[0]
    assert (log.model, log.version, log.verifier) == (MODEL, "1.0.0", crypto.sha256(b"firmware 1.0.0"))


def test_a_response_node_makes_and_checks_a_block_of_eight_logs():
    net = network()
    join = crypto.sha256(b"join")
    logs = [net.confirmation(number, 1, 2, join) for number in range(3, 10)] + [net.log(1)]
    link = net.genesis.link()
    data = net.by_board(2, link, logs)
    assert net.check(data, link).counter == 8 and len(data) < 5200


def test_a_block_is_small():
    net = network()
    one = len(net.by_board(1, net.genesis.link(), [net.log(1)]))
    two = len(net.by_board(1, net.genesis.link(), [net.log(1), net.log(2)]))
    assert one < 1100 and two - one < 560, (one, two)


def test_round_trip_and_announcement():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    block = net.block(data)
    assert block.encode() == data
    head = Head(block.announcement(), net.net)
    assert head.hash == block.hash and head.announcement() == block.announcement()
    assert run(head.check_head(net.authority)) == (net.node_public, True)
    assert Head(data, net.net).announcement() == block.announcement()
    raises(ChainError, net.block, block.announcement())


# malformed, each named


def test_truncated_reordered_and_oversized():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    for cut in range(0, len(data), 37):
        raises(WireError, net.block, data[:cut])
    raises(WireError, net.block, data + b"x")
    assert "limit 12000" in str(raises(WireError, net.block, bytes(MAX_BLOCK + 1)))
    body = decode(data)
    swapped = b"d" + b"".join(encode(key) + encode(body[key]) for key in sorted(body, reverse=True)) + b"e"
    assert "out of order" in str(raises(WireError, net.block, swapped))


def test_fields_of_another_kind_or_too_many():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    for change in (
        {"head": b"short"},
        {"head": 7},
        {"net": b"other!!!"},
        {"t": b"block"},
        {"c": -1},
        {"root": 0},
        {"sig": b"s" * 63},
        {"f": 1},
        {"f": {"by": bytes(20), "c": 0, "l": []}},
        {"f": {"by": bytes(20), "c": 0, "l": [1]}},
        {"f": {"by": bytes(19), "c": 0, "l": [b"x"]}},
        {"more": 1},
    ):
        error = None
        try:
            net.block(changed(data, **change))
        except (ChainError, WireError) as caught:
            error = str(caught)
        assert error, change


def test_more_than_16_logs():
    net = network()
    field = {"by": crypto.sha256(net.node_public)[:20], "c": 0, "l": [net.log(1)] * 17}
    data = rebuilt(net, net.by_node(net.genesis.link(), [net.log(1)]), field)
    assert "limit 16" in refused(ChainError, "logs", data)


def test_no_log_and_no_release():
    net = network()
    field = {"by": crypto.sha256(net.node_public)[:20], "c": 0, "l": []}
    refused(ChainError, "logs", rebuilt(net, net.by_node(net.genesis.link(), [net.log(1)]), field))


def test_wrong_size():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    refused(ChainError, "size", rebuilt(net, data, size=88))


def test_wrong_root():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    refused(ChainError, "root", rebuilt(net, data, root=bytes(32)))
    field = decode(data)["f"]
    field["l"] = [net.log(2)]
    refused(ChainError, "root", changed(data, f=field))


def test_a_log_exchanged_or_put_in_another_order_changes_the_root():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1), net.log(2)])
    field = decode(data)["f"]
    field["l"].reverse()
    refused(ChainError, "root", changed(data, f=field))


def test_wrong_counter():
    net = network()
    link = net.genesis.link()
    data = net.by_board(1, link, [net.log(1)])
    body = decode(data)
    private, public, certificate = net.board(1)
    for own, told in ((0, 1), (2, 2), (1, 2)):
        field = dict(body["f"])
        field["c"] = own
        head = run(mine(blocks.assemble(link, TIME + 100, DIFFICULTY, 1, field), DIFFICULTY))
        false = run(blocks.sign(private, net.net, head, told, 1, {"cert": certificate}, field))
        refused(ChainError, "counter", false)
    by_node = net.by_node(link, [net.log(1)])
    field = dict(decode(by_node)["f"])
    field["c"] = 1
    refused(ChainError, "counter", rebuilt(net, by_node, field))
    refused(ChainError, "counter", rebuilt(net, by_node, counter=5))


def test_wrong_difficulty():
    net = network()
    refused(ChainError, "difficulty", net_of_difficulty(DIFFICULTY // 2))
    refused(ChainError, "difficulty", net_of_difficulty(DIFFICULTY * 2))
    data = net.by_node(net.genesis.link(), [net.log(1)])
    refused(ChainError, "difficulty", rebuilt(net, data, mined=False, difficulty=0))


def net_of_difficulty(difficulty):
    """A block of this network whose header names another difficulty and shows its work."""
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    header = headers.decode(decode(data)["head"])
    header.difficulty = difficulty
    head = run(mine(header.encode(), difficulty))
    return run(blocks.sign(net.node, net.net, head, 0, 1, {"pu": net.node_public}, decode(data)["f"]))


def test_no_work():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)])
    header = headers.decode(decode(data)["head"])
    while header.hash() < headers.target(DIFFICULTY):
        header.nonce += 1
    refused(ChainError, "nonce", rebuilt(net, data, mined=False, nonce=header.nonce))


def test_time_at_or_below_the_median_of_the_last_11():
    net = network()
    genesis = net.genesis.link()
    times = [TIME + n for n in (50, 10, 20, 30, 40, 60, 70, 80, 90, 100, 110)]
    link = Link(11, genesis.hash, 0, 1, times)
    data = net.by_node(genesis, [net.log(1)], time=TIME + 60)
    refused(ChainError, "time", data, link)
    net.check(net.by_node(genesis, [net.log(1)], time=TIME + 61), link)
    made = net.block(net.by_node(link, [net.log(1)], time=TIME))  # a slow clock is lifted above the median
    assert made.header.time == TIME + 61


def test_time_more_than_two_hours_ahead_of_a_known_clock():
    net = network()
    data = net.by_node(net.genesis.link(), [net.log(1)], time=TIME + 7300)
    error = raises(ChainError, net.check, data, net.genesis.link(), TIME + 99)
    assert error.field == "time"
    net.check(data, net.genesis.link(), TIME + 100)
    net.check(data, net.genesis.link(), None)  # whoever does not know the time cannot tell


def test_a_block_that_names_another_parent():
    net = network()
    link = Link(0, b"p" * 32, 0, 1, [TIME])
    refused(ChainError, "previous", net.by_node(link, [net.log(1)]))


def test_a_record_twice_in_one_block():
    net = network()
    log = net.log(1)
    refused(ChainError, "log", net.by_node(net.genesis.link(), [log, log]))
    again = net.log(1, ts=TIME + 11)  # signed anew, the same exchange and signer
    refused(ChainError, "log", net.by_node(net.genesis.link(), [log, again]))


def test_a_block_is_refused_for_one_bad_log_in_it():
    net = network()
    link = net.genesis.link()
    forged = decode(net.log(2))
    forged["h"] = bytes(32)
    data = net.by_node(link, [net.log(1), encode(forged)])
    assert raises(ChainError, net.check, data, link).field == "signature"
    data = net.by_node(link, [net.log(1), net.log(2, sender="pu")])
    assert raises(Untrusted, net.check, data, link).reason == "certificate"
    idle = net.confirmation(3, 1, 2, b"j" * 32, nonce=0)
    while True:  # a nonce without work
        try:
            run(Log(idle, net.net).check(net.authority, TIME, DIFFICULTY))
            idle = net.confirmation(3, 1, 2, b"j" * 32, nonce=decode(idle)["nonce"] + 1)
        except ChainError:
            break
    assert raises(ChainError, net.check, net.by_node(link, [idle]), link).field == "nonce"


def test_a_log_from_the_future():
    net = network()
    late = net.log(1, ts=TIME + 100 + 7201)
    data = net.by_node(net.genesis.link(), [late], time=TIME + 100)
    assert raises(ChainError, net.check, data, net.genesis.link()).field == "ts"
    link = net.genesis.link()
    net.check(net.by_node(link, [net.log(1, ts=TIME + 7300)], time=TIME + 100), link)
