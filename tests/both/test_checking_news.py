"""What an answer tells besides: a fresh certificate, recalled releases; what is taken and what is not."""

import asyncio

import fake_esp32
from fwnode import crypto
from fwnode.checking_news import note, take
from fwnode.sharing import Sharing
from fwnode.trust import cert, issue
from fwnode.trust.root import Root, build
from fwnode.update.keys import KeyStore
from fwnode.update.recalls import recalled
from fwnode.wire.bencode import encode
from support import raises, run

NODE = crypto.generate_key()
VENDOR = crypto.generate_key()
BOARD = crypto.generate_key()
PUBLIC = crypto.public_key(BOARD)
NOW = 10_000


def root():
    point = crypto.public_key(NODE)
    body = {
        "number": 1,
        "expires": 2_000_000_000,
        "root-keys": [point],
        "root-threshold": 1,
        "vendor-keys": {"*": [crypto.public_key(VENDOR)]},
        "vendor-threshold": 1,
        "nodes": [point],
        "node-threshold": 1,
        "enrolment-keys": [point],
        "revoked": [],
    }
    return Root(run(build(body, [NODE])))


ROOT = root()


class Part:
    """Any object with these attributes."""

    def __init__(self, **fields):
        for name in fields:
            setattr(self, name, fields[name])


class Board:
    """A checker and its node, as far as they are needed."""

    def __init__(self, verifier=bytes(32)):
        self.said = []
        self.stopped = 0
        keys = KeyStore(fake_esp32.NVS(fake_esp32.Board()))
        self.held = certificate(NOW + 1000)
        keys.put("cert", self.held)
        self.root = ROOT
        self.me = Part(public=PUBLIC, model="toaster", credential=("cert", self.held))
        self.node = Part(
            boot=Part(keys=keys, verifier=verifier),
            clock=Part(now=lambda: NOW),
            hooks=Part(state=self.say),
            sharing=Part(stop=self.stop),
        )

    def say(self, state, **facts):
        self.said.append((state, facts))

    async def stop(self):
        self.stopped += 1

    def hear(self, certificate=None, *recalls):
        """Everything that the board says to these news."""
        self.said = []
        told = [encode(list(recalls))] if recalls else []
        asyncio.run(take(self, certificate, told))
        return self.said


def certificate(expires, issuer=NODE, public=PUBLIC, model="toaster"):
    return run(cert.issue(issuer, model, public, expires))


def recall_of(verifier, signer=VENDOR, model="toaster"):
    return run(issue.sign_recall(issue.recall(model, "1.1.0", verifier, 5), signer))


def test_a_renewed_certificate_is_kept_and_used():
    board = Board()
    fresh = certificate(NOW + 2000)
    assert board.hear(fresh) == [("certified", {"expires": NOW + 2000})]
    assert board.node.boot.keys.get("cert") == fresh and board.me.credential == ("cert", fresh)


def test_a_certificate_of_another_board_issuer_or_life_is_not_taken():
    other = crypto.generate_key()
    for fresh, why in (
        (certificate(NOW + 2000, public=crypto.public_key(other)), "not of this board"),
        (certificate(NOW + 2000, model="kettle"), "not of this board"),
        (certificate(NOW + 2000, issuer=other), "no enrolment key"),
        (certificate(NOW + 1000), "ends no later"),
        (certificate(NOW - 5), "ends no later"),
        (b"junk", "malformed"),
    ):
        board = Board()
        ((state, facts),) = board.hear(fresh)
        assert state == "error" and facts["what"] == "certificate", why
        assert why in facts["why"] or why == "malformed", facts
        assert board.node.boot.keys.get("cert") == board.held and board.me.credential[1] == board.held


def test_a_recall_is_remembered_and_told_once():
    board = Board()
    assert board.hear(None, recall_of(b"x" * 32)) == [("recalled", {"version": "1.1.0", "running": False})]
    assert recalled(board.node.boot.keys, b"x" * 32) and not board.stopped
    assert board.hear(None, recall_of(b"x" * 32)) == []


def test_a_board_that_runs_a_recalled_release_stays_says_so_each_time_and_seeds_no_more():
    board = Board(b"x" * 32)
    said = [("recalled", {"version": "1.1.0", "running": True})]
    assert board.hear(None, recall_of(b"x" * 32)) == said and board.stopped == 1
    assert board.hear(None, recall_of(b"x" * 32)) == said


def test_a_recall_of_another_model_or_signed_by_nobody_is_not_taken():
    stranger = crypto.generate_key()
    for told, why in (
        (recall_of(b"x" * 32, model="kettle"), "for model kettle"),
        (recall_of(b"x" * 32, stranger), "signed by too few"),
        (b"junk", ""),
        (7, "a string expected"),
    ):
        board = Board()
        ((state, facts),) = board.hear(None, told)
        assert state == "error" and facts["what"] == "recall" and why in facts["why"], facts
        assert not recalled(board.node.boot.keys, b"x" * 32)


def test_a_recalled_release_is_not_seeded():
    keys = KeyStore(fake_esp32.NVS(fake_esp32.Board()))
    note(keys, b"x" * 32, True)
    boot = Part(release=Part(), genuine=True, verifier=b"x" * 32, keys=keys, stream=None)
    sharing = Sharing(
        Part(boot=boot, local=None, config=Part(port=1, upload_kbps=1, wide_erase=False, discovery_port=0))
    )
    asyncio.run(sharing.seed())
    assert sharing.seeder is None
    boot.verifier = b"y" * 32  # one that was not: it gets as far as the release, which is none here
    raises(AttributeError, asyncio.run, sharing.seed())

    closed = []

    async def close():
        closed.append(True)

    sharing.seeder = Part(close=close, release=Part(info_hash=b""))
    sharing.router.add(sharing.seeder)
    asyncio.run(sharing.stop())
    assert sharing.seeder is None and closed == [True]
