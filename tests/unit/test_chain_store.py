"""The chain store: branches, reorganisation, the pool, duplicates, checkpoints, trust roots."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain_parts import DIFFICULTY, TIME, Network, key
from fwchain.chainstore import Miner, Orphan, Store, StoreError
from fwchain.chainstore.audit import AuditError, blocks_of, verify_blocks, verify_chain
from fwnode.chain import ChainError, checkpoint, head
from fwnode.compat import run
from fwnode.errors import FwError
from fwnode.trust import Untrusted, root
from fwnode.wire.bencode import decode, encode

NOW = TIME + 5000


@pytest.fixture(scope="module")
def net() -> Network:
    return Network()


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A new database: its URL. tests/interop runs this file on PostgreSQL too."""
    return f"sqlite:///{tmp_path / 'chain.db'}"


@pytest.fixture
def store(net: Network, place: str) -> Iterator[Store]:
    opened = Store(place, net.genesis.data, [net.root_data], lambda: NOW)
    yield opened
    opened.close()


def grow(store: Store, net: Network, parent: head.Link, numbers: list[int], time: int = TIME + 100) -> head.Link:
    """Add one block of the verification node a number, with that board's log; the last one's link."""
    for n in numbers:
        data = net.by_node(parent, [net.log(n)], time=time)
        store.add_block(data)
        parent = net.link(data, parent)
        time += 10
    return parent


def test_a_new_store_is_at_genesis_and_another_network_is_refused(net: Network, store: Store, place: str) -> None:
    tip = store.tip()
    assert (tip.height, tip.hash, tip.counter, tip.announcement) == (0, net.genesis.hash, 0, b"")
    other = Network(difficulty=DIFFICULTY + 1)
    with pytest.raises(StoreError, match="another network"):
        Store(place, other.genesis.data, [other.root_data])
    with pytest.raises(Untrusted):
        Store(place, net.genesis.data, [run(root.build(net.root_body(1, [b"x" * 20]), [net.owner]))])


def test_blocks_are_kept_over_a_restart(net: Network, store: Store, place: str) -> None:
    link = grow(store, net, net.genesis.link(), [1, 2, 3])
    store.add_log(net.log(4))
    store.close()
    again = Store(place, net.genesis.data, [net.root_data], lambda: NOW)
    assert again.tip().hash == link.hash and again.pool() == [net.log(4)]
    assert verify_chain(again, NOW).logs == 3
    again.close()


def test_two_processes_on_one_database_add_and_mine_at_once(net: Network, store: Store, place: str) -> None:
    """Workers of one verification node, here threads with a store of their own."""
    logs = [net.log(n) for n in range(40)]
    errors: list[Exception] = []

    def work(mine: list[bytes]) -> None:
        own = Store(place, net.genesis.data, [net.root_data], lambda: NOW)
        try:
            for log in mine:
                own.add_log(log)
            Miner(own, net.node).flush()
        except FwError as error:
            errors.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(logs[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    Miner(store, net.node).flush()
    assert all("already in this branch" in str(error) for error in errors)  # another was a moment earlier
    assert verify_chain(store, NOW).logs == 40 and store.pool() == []


def test_block_header_and_head_by_height_and_hash(net: Network, store: Store) -> None:
    link = grow(store, net, net.genesis.link(), [1, 2, 3])
    data = store.block(2)
    assert data is not None and store.block(net.block(data).hash) == data
    assert store.block(4) is None and store.block(bytes(32)) is None and store.block(0) is None
    assert store.headers(0, 99) == net.genesis.head + b"".join(net.block(store.block(h)).head for h in (1, 2, 3))
    assert store.headers(2, 1) == net.block(data).head
    assert store.heads(2, 5) == [net.block(store.block(h)).announcement() for h in (2, 3)]
    assert store.height_of(link.hash) == 3 and store.height_of(bytes(32)) is None
    assert vars(store.link()) == vars(link)


def test_an_orphan_is_not_stored(net: Network, store: Store) -> None:
    stranger = head.Link(7, b"p" * 32, 0, 1, [TIME])
    with pytest.raises(Orphan):
        store.add_block(net.by_node(stranger, [net.log(1)]))
    assert store.tip().height == 0


def test_every_rule_of_a_block_is_applied(net: Network, store: Store) -> None:
    data = net.by_node(net.genesis.link(), [net.log(1)])
    body = decode(data)
    for name, value, field in (("sig", bytes(64), "signature"), ("c", 1, "counter")):
        with pytest.raises(ChainError, match=field):
            store.add_block(encode({**body, name: value}))
    with pytest.raises(ChainError, match="time"):
        store.add_block(net.by_node(net.genesis.link(), [net.log(1)], time=NOW + 7201))
    assert store.tip().height == 0
    assert store.add_block(data).status == "tip"
    assert store.add_block(data).status == "known"


def test_most_work_wins_and_logs_of_the_losing_branch_return_to_the_pool(net: Network, store: Store) -> None:
    genesis = net.genesis.link()
    grow(store, net, genesis, [1, 2, 3])
    for n in (4, 5):
        store.add_log(net.log(n))
    fork = net.link(store.block(1), genesis)
    side = [net.by_node(fork, [net.log(4)], time=TIME + 300)]
    link = net.link(side[0], fork)
    side.append(net.by_node(link, [net.log(3)], time=TIME + 310))
    link = net.link(side[1], link)
    side.append(net.by_node(link, [net.log(6)], time=TIME + 320))
    assert store.add_block(side[0]).status == "side"
    assert store.tip().height == 3 and len(store.pool()) == 2
    second = store.add_block(side[1])
    if second.status == "side":
        third = store.add_block(side[2])
        assert third.status == "reorganised" and third.returned == 1
    else:  # the tie went to the lower hash
        assert second.status == "reorganised" and second.returned == 1
        assert store.add_block(side[2]).status == "tip"
    assert store.tip().hash == net.block(side[2]).hash
    assert sorted(store.pool()) == sorted([net.log(2), net.log(5)])  # 3, 4 and 6 are in the winning branch
    assert verify_chain(store, NOW).logs == 4


def test_a_log_is_never_lost_over_many_reorganisations(net: Network, store: Store) -> None:
    genesis = net.genesis.link()
    numbers = list(range(1, 7))
    for n in numbers:
        store.add_log(net.log(n))
    for depth in range(1, 5):
        link = genesis
        for height in range(depth):
            data = net.by_node(link, [net.log(1 + (depth + height) % 6)], time=TIME + 100 * depth + height)
            store.add_block(data)
            link = net.link(data, link)
        assert store.tip().height == depth
        inside = [log for height in range(1, depth + 1) for log in decode(store.block(height))["f"]["l"]]
        assert sorted(inside + store.pool()) == sorted(net.log(n) for n in numbers)


def test_a_deep_branch_from_genesis_with_less_work(net: Network, store: Store) -> None:
    link = grow(store, net, net.genesis.link(), [1, 2, 3, 4, 5])
    grow(store, net, net.genesis.link(), [6, 7, 3, 9], TIME + 900)
    assert store.tip().hash == link.hash
    assert sorted(store.pool()) == sorted(net.log(n) for n in (6, 7, 9))  # 3 is in the winning branch


@pytest.mark.parametrize("first", [0, 1])
def test_on_a_tie_the_lower_hash_wins_in_whatever_order(net: Network, store: Store, first: int) -> None:
    pair = [net.by_node(net.genesis.link(), [net.log(n)]) for n in (1, 2)]
    pair.sort(key=lambda data: net.block(data).hash)
    store.add_block(pair[first])
    status = store.add_block(pair[1 - first]).status
    assert status == ("side" if first == 0 else "reorganised")
    assert store.tip().hash == net.block(pair[0]).hash
    assert store.pool() == decode(pair[1])["f"]["l"]  # the other one's log comes in a later block


def test_a_record_twice_in_a_branch(net: Network, store: Store) -> None:
    genesis = net.genesis.link()
    link = grow(store, net, genesis, [1, 2])
    with pytest.raises(ChainError, match="already in this branch"):
        store.add_block(net.by_node(link, [net.log(1)], time=TIME + 300))
    with pytest.raises(ChainError, match="already in this branch"):  # signed anew: the same exchange and signer
        store.add_block(net.by_node(link, [net.log(1, ts=TIME + 11)], time=TIME + 300))
    beside = net.by_node(genesis, [net.log(2)], time=TIME + 300)  # in another branch it may stand
    assert store.add_block(beside).status in ("side", "reorganised")
    with pytest.raises(ChainError, match="already in this branch"):
        store.add_block(net.by_node(net.link(beside, genesis), [net.log(2, ts=TIME)], time=TIME + 310))
    store.add_block(net.by_node(net.link(beside, genesis), [net.log(1)], time=TIME + 310))
    again = net.log(1, r=2000)  # another exchange of the same board
    assert store.add_log(again)


def test_the_pool_takes_what_can_stand_in_a_block_once(net: Network, store: Store) -> None:
    assert store.add_log(net.log(1)) and not store.add_log(net.log(1))
    assert not store.add_log(net.log(1, ts=TIME + 20))
    grow(store, net, net.genesis.link(), [1])
    assert store.pool() == [] and not store.add_log(net.log(1))
    with pytest.raises(ChainError, match="answered"):
        store.add_log(net.log(2, outcome="answered"))
    with pytest.raises(ChainError, match="signature"):
        store.add_log(encode({**decode(net.log(2)), "h": bytes(32)}))
    with pytest.raises(Untrusted):
        store.add_log(net.log(2, sender="pu"))
    with pytest.raises(ChainError, match="ahead"):
        store.add_log(net.log(2, ts=NOW + 7201))
    assert store.pool() == []


def test_one_signer_does_not_fill_the_pool(net: Network, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwchain.chainstore.store.MAX_POOL_OF_SIGNER", 3)
    monkeypatch.setattr("fwchain.chainstore.store.MAX_POOL", 5)
    for r in range(3):
        store.add_log(net.log(1, r=r))
    with pytest.raises(ChainError, match="of this signer"):
        store.add_log(net.log(1, r=3))
    store.add_log(net.log(2))
    store.add_log(net.log(3))
    with pytest.raises(ChainError, match="its limit"):
        store.add_log(net.log(4))


def test_normal_nodes_blocks_count_on_through_a_verification_nodes(net: Network, store: Store) -> None:
    link = net.genesis.link()
    for n, by_board in ((1, True), (2, False), (3, True), (4, False)):
        time = TIME + 10 * n
        data = net.by_board(9, link, [net.log(n)], time) if by_board else net.by_node(link, [net.log(n)], time=time)
        store.add_block(data)
        link = net.link(data, link)
    assert store.tip().counter == 2 and verify_chain(store, NOW).counter == 2
    assert verify_chain(store, NOW).node_blocks == 2


def sign_checkpoint(net: Network, link: head.Link) -> bytes:
    return run(checkpoint.sign(checkpoint.build(net.net, link), net.net, net.node))


def test_no_reorganisation_below_a_checkpoint(net: Network, store: Store) -> None:
    genesis = net.genesis.link()
    at_two = grow(store, net, genesis, [1, 2])
    assert store.set_checkpoint(sign_checkpoint(net, at_two))
    assert not store.set_checkpoint(sign_checkpoint(net, at_two))
    first = net.link(store.block(1), genesis)
    with pytest.raises(ChainError, match="checkpoint"):
        store.add_block(net.by_node(first, [net.log(3)], time=TIME + 500))
    with pytest.raises(ChainError, match="checkpoint"):
        store.add_block(net.by_node(genesis, [net.log(3)], time=TIME + 500))
    grow(store, net, at_two, [3, 4], TIME + 500)
    assert store.tip().height == 4
    found = store.checkpoint()
    assert found is not None and found.hash == at_two.hash


def test_a_checkpoint_chooses_its_branch_over_more_work(net: Network, store: Store) -> None:
    genesis = net.genesis.link()
    grow(store, net, genesis, [1, 2, 3])
    side = grow(store, net, genesis, [4, 5], TIME + 700)
    assert store.tip().height == 3
    store.set_checkpoint(sign_checkpoint(net, side))
    assert store.tip().hash == side.hash
    assert sorted(store.pool()) == sorted(net.log(n) for n in (1, 2, 3))


def test_false_checkpoints(net: Network, store: Store) -> None:
    link = grow(store, net, net.genesis.link(), [1, 2])
    with pytest.raises(ChainError, match="0 of 1 verification nodes"):
        store.set_checkpoint(checkpoint.build(net.net, link))
    link.counter = 5
    with pytest.raises(ChainError, match="does not tell"):
        store.set_checkpoint(sign_checkpoint(net, link))
    with pytest.raises(Orphan):
        store.set_checkpoint(sign_checkpoint(net, head.Link(2, b"x" * 32, 0, 1, [TIME, TIME, TIME])))
    assert store.checkpoint() is None


def test_a_new_trust_root_retires_a_key_from_its_first_block_on(net: Network, store: Store) -> None:
    genesis = net.genesis.link()
    thief = net.board(1)
    first = net.by_board(1, genesis, [net.log(2)], TIME + 100)
    store.add_block(first)
    link = net.link(first, genesis)
    revoked = [head_key_id(thief[1])]
    second_root = run(root.build(net.root_body(2, revoked), [net.owner]))
    ahead = net.by_node(link, [net.log(3)], time=TIME + 200, root=2)
    with pytest.raises(ChainError, match="number 2, 1 is the newest"):
        store.add_block(ahead)
    store.set_roots([net.root_data, second_root])
    with pytest.raises(Untrusted):
        store.add_log(net.log(1))
    assert store.add_block(ahead).status == "tip"
    link = net.link(ahead, link)
    with pytest.raises(Untrusted, match="revoked"):
        store.add_block(net.by_board(1, link, [net.log(4)], TIME + 300, root=2))
    with pytest.raises(ChainError, match="number 1, the parent has 2"):
        store.add_block(net.by_board(1, link, [net.log(4)], TIME + 300, root=1))
    assert verify_chain(store, NOW).height == 2  # what was signed before stays good
    forged = run(root.build(net.root_body(2, []), [key(71)[0]]))
    with pytest.raises(Untrusted):
        store.set_roots([net.root_data, forged])
    assert store.root.number == 2


def head_key_id(public: bytes) -> bytes:
    from fwnode.wire.message import key_id

    return key_id(public)


def test_an_audit_finds_what_was_changed_behind_the_stores_back(net: Network, store: Store) -> None:
    grow(store, net, net.genesis.link(), [1, 2, 3])
    good = list(blocks_of(store))
    roots = [net.root_data]
    assert verify_blocks(net.genesis, roots, good).height == 3
    body = decode(good[1])
    field = dict(body["f"], l=[net.log(9)])
    for bad in (
        [good[0], encode({**body, "f": field}), good[2]],
        [good[0], encode({**body, "sig": bytes(64)}), good[2]],
        [good[0], good[2]],
        [good[1]],
        [good[0], good[0]],
    ):
        with pytest.raises(AuditError, match=r"block [12]: "):
            verify_blocks(net.genesis, roots, bad)
    twice = net.by_node(net.link(good[0], net.genesis.link()), [net.log(1)], time=TIME + 400)
    with pytest.raises(AuditError, match="already in this branch"):
        verify_blocks(net.genesis, roots, [good[0], twice])
