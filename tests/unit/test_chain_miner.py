"""The miner: logs and releases become blocks; and the store when disk or database fails it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chain_parts import MODEL, TIME, Network
from fwchain.chainstore import Added, Miner, Store, StoreError
from fwchain.chainstore.audit import verify_chain
from fwnode import crypto
from fwnode.chain import ChainError, proof
from fwnode.compat import run
from fwnode.trust import making, release, root
from fwnode.wire import WireError

NOW = TIME + 5000


@pytest.fixture(scope="module")
def net() -> Network:
    return Network()


@pytest.fixture
def store(net: Network, tmp_path: Path) -> Store:
    return Store(tmp_path / "chain.db", net.genesis.data, [net.root_data], lambda: NOW)


def metainfo(net: Network, version: str = "1.1.0", private: bytes | None = None) -> bytes:
    """A signed M of one small file."""
    builder = making.Builder()
    builder.update(version.encode() * 5000)
    statement = {
        "model": MODEL, "platform": "virtual", "version": version, "trackers": [], "web-seeds": [],
        "epoch": 0, "issued": TIME, "expires": TIME + 10**8,
    }  # fmt: skip
    unsigned = builder.finish(statement, [("firmware.bin", "slot", 5000 * len(version))])
    return run(making.sign(unsigned, private or net.vendor))


def test_sixteen_logs_a_block_in_the_pools_order(net: Network, store: Store) -> None:
    logs = [net.log(n) for n in range(20)]
    for log in logs:
        store.add_log(log)
    made = Miner(store, net.node).flush()
    assert [added.height for added in made] == [1, 2] and store.pool() == []
    found = [log.data for height in (1, 2) for log in net.block(store.block(height)).logs]
    assert found == logs and len(net.block(store.block(1)).logs) == 16
    assert verify_chain(store, NOW).logs == 20


def test_a_release_is_announced_at_once_and_once(net: Network, store: Store) -> None:
    whole = metainfo(net)
    assert store.announce(whole) and not store.announce(whole)
    made = Miner(store, net.node).flush()
    assert [added.status for added in made] == ["tip"]
    block = net.block(store.block(1))
    found = release.Release(whole)
    assert block.logs == [] and block.release.verifier == found.verifier
    assert store.newest_release(MODEL) == block.release.data and store.newest_release("other") is None
    assert store.waiting_release() is None and not store.announce(whole)
    assert Miner(store, net.node).flush() == []


def test_a_release_without_the_vendors_signature_is_not_announced(net: Network, store: Store) -> None:
    with pytest.raises(ChainError, match="0 of 1 vendor signatures"):
        store.announce(metainfo(net, private=net.node))
    with pytest.raises(WireError):
        store.announce(b"de")
    assert store.waiting_release() is None


def test_a_release_of_a_losing_branch_is_announced_again(net: Network, store: Store) -> None:
    store.announce(metainfo(net))
    Miner(store, net.node).flush()
    genesis = net.genesis.link()
    first = net.by_node(genesis, [net.log(1)])
    store.add_block(first)
    store.add_block(net.by_node(net.link(first, genesis), [net.log(2)], time=TIME + 200))
    assert store.tip().height == 2 and store.newest_release(MODEL) is None
    assert Miner(store, net.node).flush()[0].height == 3
    assert store.newest_release(MODEL) is not None


def test_logs_that_no_block_may_hold_any_more_are_dropped_and_told(net: Network, store: Store) -> None:
    store.add_log(net.log(1))
    store.add_log(net.log(2))
    revoked = [crypto.sha256(net.board(1)[1])[:20]]
    store.set_roots([net.root_data, run(root.build(net.root_body(2, revoked), [net.owner]))])
    told: list[Exception] = []
    made = Miner(store, net.node, on_error=told.append).flush()
    assert len(made) == 1 and len(told) == 1 and "revoked" in str(told[0])
    block = net.block(store.block(1))
    assert [log.data for log in block.logs] == [net.log(2)] and block.root == 2 and store.pool() == []


def test_checkpoints_follow_the_tip_and_a_new_trust_root(net: Network, store: Store) -> None:
    miner = Miner(store, net.node, checkpoint_every=10)
    heights = []
    for n in range(30):
        store.add_log(net.log(n))
        miner.flush()
        found = store.checkpoint()
        heights.append(found.height if found else 0)
    assert heights[14] == 0 and heights[15] == 10 and heights[24] == 10 and heights[25] == 20
    found = store.checkpoint()
    assert found is not None
    run(found.check(net.root))
    assert found.hash == net.block(store.block(20)).hash
    assert len(found.data) < 400
    for n, covered in ((0, 10), (9, 10), (10, 20), (19, 20), (20, None), (29, None)):
        data = store.proof_file(hashlib.sha256(net.log(n)).digest())
        record, height, _, by = run(proof.check(data, net.genesis))
        assert record.data == net.log(n) and height == n + 1
        assert (by and by.height) == covered and len(data) < 3500
    store.set_roots([net.root_data, run(root.build(net.root_body(2, []), [net.owner]))])
    store.add_log(net.log(50))
    miner.flush()
    found = store.checkpoint()
    assert found is not None and (found.height, found.root) == (31, 2)
    store.add_log(net.log(51))
    miner.flush()
    assert store.checkpoint().height == 31  # type: ignore[union-attr]


def test_the_thread_waits_for_company_and_stops(net: Network, store: Store) -> None:
    made: list[Added] = []
    first = threading.Event()

    def on_block(added: Added, data: bytes) -> None:
        made.append(added)
        first.set()

    miner = Miner(store, net.node, wait_s=0.3, on_block=on_block)
    miner.start()
    try:
        for n in range(3):
            store.add_log(net.log(n))
        miner.notify()
        assert first.wait(20)
        time.sleep(0.05)
        assert len(made) == 1 and len(net.block(store.block(1)).logs) == 3
        first.clear()
        store.announce(metainfo(net))
        miner.notify()
        assert first.wait(20) and store.tip().height == 2
    finally:
        miner.stop()
    assert store.tip().height == 2


def test_a_normal_nodes_blocks_count_and_announce_nothing(net: Network, store: Store) -> None:
    """Paper 3.2: the counter is the nearest normal ancestor's plus the successful logs here."""
    private, _, certificate = net.board(900)
    miner = Miner(store, private, credential=("cert", certificate), checkpoint_every=1)
    store.announce(metainfo(net))
    for n in range(3):
        store.add_log(net.log(n, outcome="tampered" if n == 0 else "current"))
    assert [added.height for added in miner.flush()] == [1]
    block = net.block(store.block(1))
    assert (block.own_counter, block.counter, block.release) == (2, 2, None) and "cert" in block.body
    assert store.waiting_release() is not None and store.checkpoint() is None
    Miner(store, net.node).flush()
    store.add_log(net.log(5))
    miner.flush()
    assert [net.block(store.block(height)).own_counter for height in (2, 3)] == [0, 3]
    verify_chain(store, NOW)


def test_a_normal_node_waits_for_each_log_anew(net: Network, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that a verification node's block takes meanwhile lets the next one wait its whole time."""
    now = [100.0]
    monkeypatch.setattr("fwchain.chainstore.miner.time.monotonic", lambda: now[0])
    private, _, certificate = net.board(900)
    miner = Miner(store, private, wait_s=10.0, credential=("cert", certificate))
    for n in range(20):
        store.add_log(net.log(n))
    assert 10.0 <= miner._look()[0] <= 15.0  # sixteen logs do not hurry it
    now[0] += 9.0
    store.add_log(net.log(30))
    assert 1.0 <= miner._look()[0] <= 6.0
    while store.pool() != [net.log(30)]:
        Miner(store, net.node).mine_once(store.pool(2))
    assert 10.0 <= miner._look()[0] <= 15.0
    now[0] += 15.0
    assert miner._look() == (0.0, [net.log(30)])
    miner.mine_once(miner._look()[1])
    assert miner._look() == (10.0, [])


def test_the_logs_of_a_c2_are_left_to_its_n_j_for_a_while(
    net: Network, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("fwchain.chainstore.miner.time.monotonic", lambda: now[0])
    miner = Miner(store, net.node, wait_s=1.0)
    among_fellows = net.log(1, res=bytes(20))
    confirmed = net.confirmation(3, 1, 2, bytes(32))
    for log in (among_fellows, confirmed, net.log(2)):
        store.add_log(log)
    assert miner._look() == (1.0, [net.log(2)])
    now[0] += 1.0
    assert miner._look() == (0.0, [net.log(2)])
    miner.mine_once([net.log(2)])
    assert store.pool() == [among_fellows, confirmed] and miner._look()[0] == 59.0
    now[0] += 59.0
    assert miner._look() == (0.0, [among_fellows, confirmed])


def test_a_long_proof_of_work_is_given_up_when_another_block_comes_or_the_miner_stops(tmp_path: Path) -> None:
    net = Network(difficulty=0xFFFFFFFF)
    store = Store(tmp_path / "chain.db", net.genesis.data, [net.root_data], lambda: NOW)
    store.add_log(net.log(1))
    miner = Miner(store, net.node, wait_s=0.0)
    miner.start()
    time.sleep(0.3)
    began = time.monotonic()
    miner.stop()
    assert time.monotonic() - began < 5 and store.tip().height == 0


def test_disk_full_is_one_clear_error_and_nothing_half_written(net: Network, store: Store) -> None:
    store.add_log(net.log(1))
    Miner(store, net.node).flush()
    before = store.tip()

    def limit(pages: int) -> None:
        with store.reading() as connection:
            raw = connection.connection.dbapi_connection
            raw.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[union-attr]

    limit(1)  # as many as there are already
    refused = None
    n = 100
    while refused is None and n < 400:
        try:
            store.add_log(net.log(n))
        except StoreError as error:
            refused = error
        n += 1
    assert refused is not None and "full" in str(refused)
    kept = store.pool(1000)
    assert kept == [net.log(k) for k in range(100, n - 1)]
    with pytest.raises(StoreError):
        while True:
            Miner(store, net.node).mine_once()
    assert verify_chain(store, NOW).height == store.tip().height >= before.height
    limit(1 << 30)
    assert store.add_log(net.log(n - 1))  # the service resumes
    Miner(store, net.node).flush()
    assert verify_chain(store, NOW).logs == n - 100 + 1 and store.pool() == []


def test_a_database_that_is_gone_or_no_database(net: Network, store: Store, tmp_path: Path) -> None:
    store.close()
    for path in tmp_path.glob("chain.db*"):
        path.unlink()
    with pytest.raises(StoreError, match="cannot"):
        store.add_log(net.log(1))
    (tmp_path / "junk.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        Store(tmp_path / "junk.db", net.genesis.data, [net.root_data])
    with pytest.raises(StoreError):
        Store(f"sqlite:///{tmp_path}/no/such/folder/c.db", net.genesis.data, [net.root_data])


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from chain_parts import *
from fwchain.chainstore import Miner, Store
net = Network()
store = Store(sys.argv[2], net.genesis.data, [net.root_data], lambda: TIME + 5000)
miner = Miner(store, net.node)
n = int(sys.argv[3])
print("go", flush=True)
while True:
    store.add_log(net.log(n))
    miner.flush()
    print(n, flush=True)
    n += 1
"""


def test_a_process_killed_at_any_moment_leaves_a_whole_chain(net: Network, tmp_path: Path) -> None:
    both = str(Path(__file__).parent.parent / "both")
    path = tmp_path / "chain.db"
    done = first = 1000
    for round_, delay in enumerate((0.02, 0.05, 0.11)):
        first += 1000
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, both, str(path), str(first)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert writer.stdout is not None and writer.stdout.readline() == "go\n"
            time.sleep(delay)
        finally:
            writer.kill()
            rest = writer.communicate()[0]
        done = len(rest.split("\n")) - 1
        store = Store(path, net.genesis.data, [net.root_data], lambda: NOW)
        for n in range(first, first + done):  # what was told done is there
            assert not store.add_log(net.log(n)), (round_, n)
        Miner(store, net.node).flush()
        verify_chain(store, NOW)
        store.close()
