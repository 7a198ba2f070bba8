"""Recalls: whose word counts, and what a board remembers and refuses (design: addition 13)."""

import fake_esp32
from fwnode import crypto
from fwnode.checking_news import keep_vendors, note
from fwnode.trust import Untrusted, issue
from fwnode.trust.contents import Contents
from fwnode.trust.making import Builder, sign
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release
from fwnode.trust.root import Root, build
from fwnode.update.keys import KeyStore
from fwnode.update.recalls import recalled
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode
from support import raises, run
from update_node import Node, new_version, refused

VENDORS = [crypto.generate_key() for _ in range(2)]
NODES = [crypto.generate_key() for _ in range(2)]
VERIFIER = b"v" * 32


def points(privates):
    return [crypto.public_key(private) for private in privates]


def root_of(**changes):
    body = {
        "number": 1,
        "expires": 2_000_000_000,
        "root-keys": points(VENDORS[:1]),
        "root-threshold": 1,
        "vendor-keys": {"toaster": points(VENDORS)},
        "vendor-threshold": 2,
        "nodes": points(NODES),
        "node-threshold": 1,
        "enrolment-keys": [],
        "revoked": [],
    }
    body.update(changes)
    return Root(run(build(body, VENDORS[:1])))


def recall_of(signers, model="toaster", version="1.2.0"):
    data = issue.recall(model, version, VERIFIER, 1000)
    for signer in signers:
        data = run(issue.sign_recall(data, signer))
    return Recall(data)


def test_a_recall_counts_by_the_vendors_threshold_or_the_nodes():
    root = root_of()
    assert run(recall_of(VENDORS).check(root)) is True
    assert run(recall_of(NODES[:1]).check(root)) is False
    for signers in ([], VENDORS[:1], [VENDORS[0]] * 2, [crypto.generate_key()]):
        assert raises(Untrusted, recall_of(signers).check, root).reason == "unsigned"
    assert raises(Untrusted, recall_of(VENDORS, "kettle").check, root).reason == "unsigned"
    strict = root_of(**{"node-threshold": 2})
    assert raises(Untrusted, recall_of(NODES[:1]).check, strict).reason == "unsigned"
    assert run(recall_of(NODES).check(strict)) is False
    revoked = root_of(revoked=[crypto.sha256(points(NODES)[0])[:20]])
    assert raises(Untrusted, recall_of(NODES[:1]).check, revoked).reason == "unsigned"


def test_a_changed_recall_counts_nothing():
    good = decode(recall_of(VENDORS).data)
    for changes in ({"version": b"1.3.0"}, {"verifier": bytes(32)}, {"issued": 5}):
        forged = dict(good)
        forged.update(changes)
        assert raises(Untrusted, Recall(encode(forged)).check, root_of()).reason == "unsigned"


def test_malformed_recalls_name_the_field():
    good = decode(recall_of(VENDORS).data)
    for changes, text in (
        ({"version": b"1.2"}, "version"),
        ({"verifier": b"x"}, "verifier: 1 is outside 32 to 32"),
        ({"sigs": [[b"x"]]}, "signatures: [key ID, signature]"),
        ({"extra": 1}, "field extra does not belong"),
        ({"model": b""}, "model: 0 is outside"),
    ):
        bad = dict(good)
        bad.update(changes)
        assert text in str(raises(WireError, Recall, encode(bad))), text
    assert "limit 2048" in str(raises(WireError, Recall, bytes(3000)))


def test_what_an_answer_tells_is_bounded():
    statements = [recall_of(VENDORS, version="1.{}.0".format(number)).data for number in range(6)]
    assert decode(issue.pack_recalls(statements)) == statements[:4]
    assert decode(issue.pack_recalls(statements, 700)) == statements[:2]


def keys_of(board=None):
    return KeyStore(fake_esp32.NVS(board or fake_esp32.Board()))


def test_recalls_are_remembered_over_a_boot():
    board = fake_esp32.Board()
    note(keys_of(board), VERIFIER, True)
    note(keys_of(board), VERIFIER, True)
    assert recalled(keys_of(board), VERIFIER) and not recalled(keys_of(board), bytes(32))
    assert len(keys_of(board).get("rec")) == 17
    keys = keys_of(board)
    for number in range(20):
        note(keys, bytes([number]) * 32, True)
    assert not recalled(keys, VERIFIER) and recalled(keys, bytes([19]) * 32) and recalled(keys, bytes([4]) * 32)


def test_a_new_trust_root_ends_what_verification_nodes_recalled():
    keys = keys_of()
    note(keys, VERIFIER, False)
    note(keys, bytes(32), True)
    keep_vendors(keys)
    assert not recalled(keys, VERIFIER) and recalled(keys, bytes(32))
    note(keys, bytes(32), False)
    keep_vendors(keys)
    assert keys.get("rec") is None
    keep_vendors(keys)


def test_a_recalled_release_is_refused_and_what_runs_is_repaired_all_the_same():
    node = Node()
    boot = node.boot()
    _, release = new_version("1.1.0")
    note(boot.keys, release.verifier, True)
    assert refused(boot, release) == "recalled"
    _, same = new_version("1.0.0", 9)  # another verifier under the running version: a repair
    note(boot.keys, same.verifier, True)
    node.board.flash["ota_1"] = bytearray(4096)
    assert refused(boot, same) == "size"  # past that check


def staged(rollout, signer=None):
    builder = Builder(16384)
    builder.update(bytes(4096))
    statement = {
        "model": "thing",
        "platform": "virtual",
        "version": "1.1.0",
        "trackers": [],
        "web-seeds": [],
        "epoch": 0,
        "issued": 1000,
        "expires": 2000,
        "rollout": rollout,
    }
    metainfo = builder.finish(statement, [("app.bin", "slot", 4096)])
    return Release(run(sign(metainfo, signer)) if signer else metainfo)


def test_no_release_is_installed_before_its_wave_on_whatever_path_it_came():
    node = Node()
    boot = node.boot()
    boot.keys.put("pk", points(VENDORS[:1])[0])
    release = Contents(staged([1000, [[1000, 500]]]))
    assert refused(boot, release, now=1499) == "wave"
    assert refused(boot, release, now=None) == "wave"
    node.board.flash["ota_1"] = bytearray(100)
    assert refused(boot, release, now=1500) == "size"  # past that check


def test_the_check_of_a_release_looks_at_the_wave_of_a_board():
    root = root_of(**{"vendor-threshold": 1, "vendor-keys": {"*": points(VENDORS)}})
    release = staged([1000, [[1000, 500]]], VENDORS[0])
    board = points(NODES)[0]
    run(release.check(root, 1500, board))
    run(release.check(root, 1400))
    assert raises(Untrusted, release.check, root, 1400, board).reason == "wave"
