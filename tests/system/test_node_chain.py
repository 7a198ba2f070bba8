"""Whole nodes keep level: branches that grew apart become one again, and no verification log is lost."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

from node_support import HostNode, outcomes, set_peers
from update_support import MODEL, Fleet

from fwchain.chainstore import Store
from fwchain.chainstore.show import summaries
from fwnode import crypto
from fwnode.compat import run
from fwnode.roles.identity import Identity
from fwnode.roles.log import verification_log
from fwnode.trust import cert
from fwnode.wire.message import key_id

LIMIT_S = 60.0


def log_of(fleet: Fleet, version: str) -> bytes:
    """A verification log as a board posts it; its version tells it from the others."""
    private = crypto.generate_key()
    public = crypto.public_key(private)
    now = int(time.time())
    certificate = run(cert.issue(fleet.network.private("enrolment"), MODEL, public, now + 1000))
    me = Identity(private, public, ("cert", certificate), MODEL, fleet.network.genesis.net, 4000)
    node = key_id(crypto.public_key(fleet.network.private("node")))
    return bytes(run(verification_log(me, 5, node, now, "current", version, bytes(32))))


def post(url: str, data: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url + "/fwchain", data), timeout=20) as answer:
        assert answer.status == 200


def chain(folder: Path) -> tuple[bytes, list[str]]:
    """(tip, versions of the logs) of a node's whole chain, read beside it."""
    from fwchain import network

    loaded = network.load(folder)
    store = Store(loaded.database, loaded.genesis.data, [root.data for root in loaded.roots])
    try:
        tip = store.tip().hash
        rows = list(summaries(store, 1, 200))
        return tip, sorted(log["version"] for row in rows for log in row["logs"])
    finally:
        store.close()


def test_nodes_apart_and_a_verification_node_that_was_away_become_one_chain(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        alone = {"lan.join": "false", "node.pool_s": 3, "board.check_s": 3600}
        a, b = (HostNode(fleet, number, **alone) for number in (1, 2))
        try:
            a.start()
            b.start()
            post(fleet.config.url, log_of(fleet, "1.0.1"))
            for node in (a, b):
                node.wait("synced", height=1)
            fleet.kill_node()
            # each makes blocks of what it alone hears
            post(a.url, log_of(fleet, "1.0.2"))
            assert a.wait("block")["height"] == 2
            for height, version in ((2, "1.0.3"), (3, "1.0.4")):
                post(b.url, log_of(fleet, version))
                assert b.wait("block")["height"] == height
            tips = {chain(node.folder)[0] for node in (a, b)}
            assert len(tips) == 2
            set_peers(fleet, a, b)
            fleet.serve()
            gone = a.wait("reorganised")  # its branch has less work
            assert gone["returned"] == 1 and gone["height"] >= 3
            everything = ["1.0.1", "1.0.2", "1.0.3", "1.0.4"]
            folders = [fleet.network.folder, a.folder, b.folder]
            end = time.monotonic() + LIMIT_S
            while True:
                found = [chain(folder) for folder in folders]
                if len({tip for tip, _ in found}) == 1 and found[0][1] == everything:
                    break
                assert time.monotonic() < end, found
                time.sleep(0.1)
            assert fleet.wait_node("synced")["source"] in (a.url, b.url)
            assert outcomes(a.folder) == {"current": 4}
            assert outcomes(b.url, "--genesis", fleet.network.folder / "genesis") == {"current": 4}
        finally:
            assert [node.stop() for node in (a, b)] == [0, 0]


def test_a_node_that_is_killed_comes_back_with_its_chain_and_catches_up(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        node = HostNode(fleet, 1, **{"lan.join": "false", "node.pool_s": 0.2}).start()
        try:
            post(node.url, log_of(fleet, "1.0.1"))
            node.wait("block", height=1)
            fleet.wait_node("block", height=1, source=node.ip)
            node.kill()
            post(fleet.config.url, log_of(fleet, "1.0.2"))
            fleet.wait_node("block", height=2)
            node.start()
            node.wait("synced", height=2)
            assert chain(node.folder) == chain(fleet.network.folder)
        finally:
            assert node.stop() == 0
