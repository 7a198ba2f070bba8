"""Trust roots on a board: followed one by one, kept for fellows, cut between two (design: addition 5)."""

import asyncio
import os

from fwnode import checking_roots, crypto, roots
from fwnode.compat import randbelow
from fwnode.errors import FwError
from fwnode.net import NetError
from fwnode.net.listener import Listener
from fwnode.trust import Untrusted, issue
from fwnode.trust.root import Root, build
from fwnode.update import StorageError
from fwnode.update.files import FileStore, remove_tree
from support import raises, run

FOLDER = "/tmp/fwchain-roots-{}".format(os.urandom(6).hex())
KEY = crypto.generate_key()
OTHER = crypto.generate_key()


def first():
    point = crypto.public_key(KEY)
    body = {
        "number": 1,
        "expires": 2_000_000_000,
        "root-keys": [point],
        "root-threshold": 1,
        "vendor-keys": {"*": [point]},
        "vendor-threshold": 1,
        "nodes": [point],
        "node-threshold": 1,
        "enrolment-keys": [point],
        "revoked": [],
    }
    return Root(run(build(body, [KEY])))


def after(root, signer=KEY, **changes):
    return Root(run(issue.sign_root(issue.successor(root, changes), signer)))


CHAIN = [first()]
for _ in range(3):
    CHAIN.append(after(CHAIN[-1]))


class Cut(Exception):
    """The power went."""


class Cutting:
    """A FileStore that loses power after some writes."""

    def __init__(self, files, writes):
        self.files = files
        self.folder = files.folder
        self.left = writes

    def read(self, name, limit=8192):
        return self.files.read(name, limit)

    def write(self, name, data):
        if not self.left:
            raise Cut
        self.left -= 1
        self.files.write(name, data)

    def remove(self, name):
        self.files.remove(name)


def with_files(test):
    """Run `test(files)` over a folder that has root 1, and is gone afterwards."""
    remove_tree(FOLDER)
    files = FileStore(FOLDER)
    files.write(roots.ROOT, CHAIN[0].data)
    try:
        test(files)
    finally:
        remove_tree(FOLDER)


def served(answers, test):
    """Run the coroutine `test(url)` while a listener, as a fellow's, answers GET with `answers(path)`."""

    async def nothing(*_):
        return b""

    async def main():
        for _ in range(20):
            port = 20000 + randbelow(20000)
            listener = Listener("127.0.0.1", port, nothing, nothing, answers)
            try:
                await listener.start()
            except NetError:
                continue
            try:
                return await test("http://127.0.0.1:{}".format(port))
            finally:
                await listener.stop()
        raise AssertionError("no free port")

    return asyncio.run(main())


def follow(files, root, answers, newest=None):
    """The roots that a board with `root` takes from a fellow that answers so."""
    taken = []
    served(
        answers, lambda url: checking_roots.follow(files, root, url, newest, None, lambda new: taken.append(new.number))
    )
    return taken


def kept(chain):
    return lambda path: {"/root/{}".format(root.number): root.data for root in chain}.get(path)


def test_three_rotations_are_caught_up_step_by_step_from_a_fellow():
    def test(files):
        assert follow(files, CHAIN[0], kept(CHAIN)) == [2, 3, 4]
        assert files.read(roots.ROOT) == CHAIN[3].data
        other = FileStore(FOLDER + "/other")  # another board, which catches up from this one
        other.write(roots.ROOT, CHAIN[0].data)
        assert follow(other, CHAIN[0], lambda path: roots.get(files, path)) == [2, 3, 4]
        for root in CHAIN:
            assert roots.get(other, "/root/{}".format(root.number)) == root.data

    with_files(test)


def test_roots_are_taken_up_to_the_number_that_was_told():
    def test(files):
        assert follow(files, CHAIN[0], kept(CHAIN), 3) == [2, 3]
        assert follow(files, CHAIN[2], kept(CHAIN), 3) == []

    with_files(test)


def test_a_cut_between_two_roots_costs_nothing():
    def test(files):
        for writes in range(9):
            files.write(roots.ROOT, CHAIN[0].data)
            for number in (1, 2, 3, 4):
                files.remove("root-{}".format(number))
            try:
                follow(Cutting(files, writes), CHAIN[0], kept(CHAIN))
            except Cut:
                pass
            newest = Root(files.read(roots.ROOT))  # whole, whenever the power went
            assert newest.data == CHAIN[newest.number - 1].data
            rest = follow(files, newest, kept(CHAIN))
            assert rest == list(range(newest.number + 1, 5)), writes
            assert files.read(roots.ROOT) == CHAIN[3].data

    with_files(test)


def test_a_root_that_is_left_out_or_of_others_is_not_taken():
    thief = after(CHAIN[0], OTHER)

    def test(files):
        jump = {"/root/2": CHAIN[2].data}
        assert "number 2 expected" in str(raises(Untrusted, follow, files, CHAIN[0], jump.get))
        assert raises(Untrusted, follow, files, CHAIN[0], {"/root/2": thief.data}.get).reason == "root"
        assert isinstance(raises(FwError, follow, files, CHAIN[0], {"/root/2": b"junk"}.get), FwError)
        assert "status 404" in str(raises(NetError, follow, files, CHAIN[0], {}.get, 2))
        assert files.read(roots.ROOT) == CHAIN[0].data and roots.get(files, "/root/2") is None

    with_files(test)


def test_a_compromised_root_key_signs_nothing_after_it_was_retired():
    point = crypto.public_key(OTHER)
    two = run(issue.sign_root(issue.successor(CHAIN[0], {"root-keys": [point]}), KEY))
    two = Root(run(issue.sign_root(two, OTHER)))
    run(CHAIN[0].check_next(two))
    assert raises(Untrusted, two.check_next, after(two, KEY)).reason == "root"
    run(two.check_next(after(two, OTHER)))


def test_only_what_is_kept_is_served():
    def test(files):
        assert roots.get(files, "/root/1") == CHAIN[0].data
        for path in ("/root/2", "/root/", "/root/x", "/root/-1", "/root/../root", "/root/1/", "/", "/root/99999999999"):
            assert roots.get(files, path) is None, path

    with_files(test)


def test_sixteen_roots_are_kept_and_no_more():
    def test(files):
        for number in range(2, 41):
            checking_roots.keep(files, number, b"d6:numberi%dee" % number)
        names = sorted(int(name[5:]) for name in os.listdir(files.folder) if name.startswith("root-"))
        assert names == list(range(25, 41))
        assert roots.get(files, "/root/24") is None and roots.get(files, "/root/40") is not None

    with_files(test)


def test_a_full_disk_leaves_the_old_root():
    class Full(Cutting):
        def write(self, name, data):
            raise StorageError("{}: no space".format(name))

    def test(files):
        raises(StorageError, follow, Full(files, 0), CHAIN[0], kept(CHAIN))
        assert files.read(roots.ROOT) == CHAIN[0].data

    with_files(test)
