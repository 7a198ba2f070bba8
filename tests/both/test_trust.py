"""Trust: roots that follow each other, certificates, releases; what does not count and why."""

import hashlib

from fwnode import crypto
from fwnode.trust import Untrusted, cert, making, release, root, version
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode
from fwnode.wire.message import key_id
from support import raises, run


def keys(count):
    return [crypto.generate_key() for _ in range(count)]


def root_body(number, roots, **changes):
    one = crypto.public_key(ONE)
    body = {
        "number": number,
        "expires": 2_000_000_000,
        "root-keys": [crypto.public_key(key) for key in roots],
        "root-threshold": len(roots),
        "vendor-keys": {"*": [one]},
        "vendor-threshold": 1,
        "nodes": [one],
        "node-threshold": 1,
        "enrolment-keys": [one],
        "revoked": [],
    }
    body.update(changes)
    return body


ONE = crypto.generate_key()
ROOTS = keys(2)


def make_root(number, signers, roots=None, **changes):
    return root.Root(run(root.build(root_body(number, roots or ROOTS, **changes), signers)))


def test_root_1_counts_by_its_hash_alone():
    first = make_root(1, ROOTS)
    first.check_first(first.hash)
    assert raises(Untrusted, first.check_first, bytes(32)).reason == "root"
    assert make_root(1, []).hash == first.hash  # signatures are outside the hash


def test_the_next_root_needs_both_thresholds():
    first = make_root(1, ROOTS)
    run(first.check_next(make_root(2, ROOTS)))
    others = keys(2)
    run(first.check_next(make_root(2, ROOTS + others, others)))
    for signers, roots in ((ROOTS[:1], ROOTS), (others, others), (ROOTS, others), ([ROOTS[0]] * 2, ROOTS)):
        assert raises(Untrusted, first.check_next, make_root(2, signers, roots)).reason == "root"


def test_roots_follow_one_by_one():
    first = make_root(1, ROOTS)
    for number in (1, 3):
        assert "number 2 expected" in str(raises(Untrusted, first.check_next, make_root(number, ROOTS)))


def test_malformed_roots_name_the_field():
    good = decode(make_root(1, ROOTS).data)
    point = crypto.public_key(ONE)
    for changes, text in (
        ({"number": 0}, "number: 0 is outside"),
        ({"root-keys": []}, "root-keys: 0 is outside"),
        ({"root-threshold": 3}, "root-threshold: 3 is outside 1 to 2"),
        ({"nodes": [b"x"]}, "nodes: a key is not 65 bytes"),
        ({"nodes": [point, point]}, "nodes: a key stands twice"),
        ({"vendor-keys": {"*": []}}, "vendor-keys: *: 1 to 16 keys"),
        ({"vendor-keys": {"*": [point, point]}}, "vendor-keys: *: a key stands twice"),
        ({"revoked": [b"short"]}, "revoked: a key ID"),
        ({"signatures": [[b"x"]]}, "signatures: [key ID, signature]"),
        ({"extra": 1}, "field extra does not belong"),
    ):
        bad = dict(good)
        bad.update(changes)
        assert text in str(raises(WireError, root.Root, encode(bad))), text
    assert "limit 8192" in str(raises(WireError, root.Root, bytes(9000)))


def test_revoked_keys_count_nowhere():
    public = crypto.public_key(ONE)
    now = make_root(1, ROOTS, revoked=[key_id(public)])
    assert now.node_key(key_id(public)) is None and now.enrolment_key(key_id(public)) is None
    certificate = cert.Certificate(run(cert.issue(ONE, "toaster", public, 2_000_000_000)))
    assert raises(Untrusted, certificate.check, now, None).reason == "certificate"


def test_certificates_are_bound_to_model_key_and_time():
    now = make_root(1, ROOTS)
    board = crypto.public_key(crypto.generate_key())
    data = run(cert.issue(ONE, "toaster", board, 1000))
    run(cert.Certificate(data).check(now, 999))
    run(cert.Certificate(data).check(now, None))
    assert raises(Untrusted, cert.Certificate(data).check, now, 1001).reason == "expired"
    for changes in ({"d": b"kettle"}, {"exp": 5000}, {"pu": crypto.public_key(ONE)}):
        forged = dict(decode(data))
        forged.update(changes)
        assert raises(Untrusted, cert.Certificate(encode(forged)).check, now, None).reason == "certificate"


def made(sizes=(100_000,), signers=(ONE,), **changes):
    builder = making.Builder()
    files = []
    for index, size in enumerate(sizes):
        for at in range(0, size, 1000):
            builder.update(bytes([index + 1]) * min(1000, size - at))
        files.append(("f%d.bin" % index, "slot" if index == 0 else "lib/f%d.py" % index, size))
    statement = {
        "model": "toaster",
        "platform": "esp32",
        "version": "1.2.3",
        "trackers": [],
        "web-seeds": [],
        "epoch": 3,
        "issued": 1000,
        "expires": 2000,
    }
    statement.update(changes)
    metainfo = builder.finish(statement, files)
    for signer in signers:
        metainfo = run(making.sign(metainfo, signer))
    return metainfo


def test_a_release_says_what_it_was_built_from():
    one = release.Release(made((70_000, 10_000, 5)))
    assert one.size == 80_005 and one.slot_size == 70_000 and one.piece_count == 3
    assert [one.piece_size(index) for index in range(3)] == [32768, 32768, 14469]
    whole = hashlib.sha256()
    for byte, count in ((1, 70), (2, 10)):
        for _ in range(count):
            whole.update(bytes([byte]) * 1000)
    whole.update(b"\x03" * 5)
    assert one.verifier == whole.digest()
    assert one.piece_hash(2) == hashlib.sha1(b"\x01" * 4464 + b"\x02" * 10_000 + b"\x03" * 5).digest()


def test_pieces_do_not_depend_on_how_the_bytes_came():
    parts = making.Builder()
    for at in range(0, 100_000, 777):
        parts.update(b"\x01" * min(777, 100_000 - at))
    whole = release.Release(made(signers=()))
    statement = dict(whole.body)
    for name in ("files", "size", "verifier", "info"):
        del statement[name]
    statement.update({"model": "toaster", "platform": "esp32", "version": "1.2.3"})
    assert parts.finish(statement, [("f0.bin", "slot", 100_000)]) == whole.metainfo


def test_the_threshold_of_distinct_vendor_keys_counts():
    two = crypto.generate_key()
    points = [crypto.public_key(key) for key in (ONE, two)]
    strict = make_root(1, ROOTS, **{"vendor-keys": {"toaster": points}, "vendor-threshold": 2})
    run(release.Release(made(signers=(ONE, two))).check(strict, 1500))
    error = raises(Untrusted, release.Release(made(signers=(ONE, ONE))).check, strict, 1500)
    assert error.reason == "unsigned" and "1 of 2" in str(error)
    revoked = make_root(
        1, ROOTS, **{"vendor-keys": {"toaster": points}, "vendor-threshold": 2, "revoked": [key_id(points[0])]}
    )
    assert raises(Untrusted, release.Release(made(signers=(ONE, two))).check, revoked, 1500).reason == "unsigned"
    other = make_root(1, ROOTS, **{"vendor-keys": {"kettle": points}})
    assert raises(Untrusted, release.Release(made(signers=(ONE,))).check, other, 1500).reason == "unsigned"


def test_an_expired_release_is_refused_where_a_time_is_known():
    now = make_root(1, ROOTS)
    one = release.Release(made())
    run(one.check(now, 2000))
    run(one.check(now, None))
    assert raises(Untrusted, one.check, now, 2001).reason == "expired"


def test_nothing_is_installed_under_an_expired_root():
    old = make_root(1, ROOTS, expires=1500)
    run(release.Release(made()).check(old, 1500))
    error = raises(Untrusted, release.Release(made()).check, old, 1501)
    assert error.reason == "expired" and "trust root 1" in str(error)


def test_malformed_releases_name_the_field():
    good = decode(made())
    for part, changes, text in (
        ("release", {"version": b"1.2.x"}, "version: 'x' is not a number"),
        ("release", {"size": 99}, "size: 99 is not the sum of its files"),
        ("release", {"files": [[b"../x", b"slot", 100_000]]}, "path '../x'"),
        ("release", {"files": [[b"/x", b"slot", 100_000]]}, "path '/x'"),
        ("release", {"files": [[b"x", b"lib/../../boot.py", 100_000]]}, "path 'lib/../../boot.py'"),
        ("release", {"files": []}, "files: 0 is outside 1 to 16"),
        ("release", {"trackers": [b"gopher://x"]}, "trackers: 'gopher://x' is no URL"),
        ("release", {"expires": 1}, "expires: 1 is outside 1000"),
        ("release", {"extra": 1}, "field extra does not belong"),
        ("release", {"verifier": bytes(31)}, "verifier: 31 is outside 32 to 32"),
        ("info", {"piece length": 32769}, "SHA-256 is not the one in release"),
    ):
        bad = {key: dict(value) if isinstance(value, dict) else value for key, value in good.items()}
        bad[part].update(changes)
        assert text in str(raises(WireError, release.Release, encode(bad))), text
    assert "limit 8192" in str(raises(WireError, release.Release, bytes(9000)))


def test_malformed_files_urls_and_signatures_of_a_release():
    good = decode(made())
    row = "[name, target, length] expected"
    half = [[b"x", b"slot", 50_000], [b"y", b"lib/y", 50_000]]
    for changes, text in (
        ({"files": [b"abc"]}, row),
        ({"files": [[b"x", b"slot"]]}, row),
        ({"files": [[b"x", b"slot", b"9"]]}, row),
        ({"files": [[b"x", b"slot", 0]]}, row),
        ({"files": [[b"", b"slot", 100_000]]}, "path ''"),
        ({"files": [[b"x" * 65, b"slot", 100_000]]}, "at most 64 bytes"),
        ({"files": [[b"x", b"\xff", 100_000]]}, "files: byte 0xff is not printable ASCII"),
        ({"files": [half[0], [b"x", b"lib/y", 50_000]]}, "a name stands twice"),
        ({"files": [half[1], [b"z", b"lib/y", 50_000]]}, "a target stands twice"),
        ({"files": [half[1], half[0]]}, "the slot image is the first file"),
        ({"files": half}, ""),  # right so far: it is info that does not say so
        ({"files": [[b"f%d" % n, b"lib/%d" % n, 1] for n in range(17)]}, "files: 17 is outside 1 to 16"),
        ({"trackers": [b"http://" + b"x" * 194]}, "no URL of at most 200 bytes"),
        ({"web-seeds": [b"http://x"] * 9}, "web-seeds: 9 is outside 0 to 8"),
        ({"web-seeds": [5]}, "web-seeds: a string expected"),
        ({"model": b"two words"}, "model: byte 0x20 is not printable ASCII"),
        ({"issued": -1}, "issued: -1 is outside"),
    ):
        bad = dict(good, release=dict(good["release"], **changes))
        error = str(raises(WireError, release.Release, encode(bad)))
        assert text in error if text else error == "info: its files are not those of release", error
    for pairs in ([5], [[bytes(20)]], [[bytes(19), bytes(64)]], [[bytes(20), bytes(63)]]):
        assert "signatures: " in str(raises(WireError, release.Release, encode(dict(good, **{"release-sigs": pairs}))))


def test_an_info_that_release_binds_but_that_lies_is_refused():
    for changes, text in (
        ({"length": 5}, "info: its files are not those of release"),
        ({"piece length": 32769}, "32769 is no power of two"),
        ({"pieces": bytes(20)}, "pieces: 20 is outside 80 to 80"),
        ({"private": 0}, "info: its files are not those of release"),
    ):
        bad = decode(made())
        bad["info"].update(changes)
        bad["release"]["info"] = hashlib.sha256(encode(bad["info"])).digest()
        assert text in str(raises(WireError, release.Release, encode(bad))), text


def test_waves_reach_boards_by_their_own_place():
    one = release.Release(made(rollout=[100, [[100, 0], [500, 50], [1000, 90]]]))
    boards = [bytes([4]) + hashlib.sha256(bytes([n])).digest() * 2 for n in range(100)]

    def share(now):
        return sum(1 for board in boards if one.offered(board, now))

    assert share(99) == 0 and share(None) == 0
    assert 0 < share(100) < 30 and 30 < share(160) < 70 and share(190) == 100
    first = {board for board in boards if one.offered(board, 100)}
    assert all(one.offered(board, 160) for board in first)
    at_once = release.Release(made())
    assert at_once.offered(boards[0], None) and at_once.offered(boards[0], 0)


def test_malformed_waves_are_refused():
    for rollout in (
        5,
        [b"1", [[5, 5]]],
        [100, 5],
        [100, [5]],
        [100, [[n, n] for n in range(1, 18)]],
        [100, [[5, b"5"]]],
    ):
        assert "rollout" in str(raises(WireError, made, rollout=rollout)), rollout
    for rollout in ([100], [100, []], [100, [[0, 1]]], [100, [[500, 5], [400, 6]]], [100, [[1001, 5]]], [100, [[5]]]):
        assert "rollout" in str(raises(WireError, made, rollout=rollout)), rollout


def test_versions_are_compared_as_numbers():
    assert version.parse("1.10.0") > version.parse(b"1.9.65535")
    for text in ("1.2", "1.2.3.4", "1.2.x", "1.02.3", "1..3", "1.2.65536", "-1.2.3", 5, b"\xff.1.1"):
        raises(WireError, version.parse, text)
