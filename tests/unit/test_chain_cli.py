"""`fwchain chain show`, `verify` and `proof`, on a network folder and on a node's URL."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from fwchain import network
from fwchain.chainstore import Miner, Store
from fwchain.chainstore.web import routes
from fwchain.cli.app import run as fwchain
from fwchain.network import Network, Plan
from fwnode import compat, crypto
from fwnode.trust import cert
from fwnode.wire import message


def add_log(net: Network, store: Store, outcome: str) -> None:
    """The log of a new board of the network."""
    private = crypto.generate_key()
    public = crypto.public_key(private)
    own = message.node_id(public, 77)
    body = message.new("verification_log", store.net, own, b"", 77)
    body.update(
        req=own, res=bytes(20), ts=int(time.time()), o=outcome.encode(), d=b"lamp", v=b"1.0.0", h=bytes(32),
        cert=compat.run(cert.issue(net.private("enrolment"), "lamp", public, int(time.time()) + 10**6)),
    )  # fmt: skip
    store.add_log(compat.run(message.sign(private, body)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network folder with a chain of two blocks and five logs."""
    path = tmp_path_factory.mktemp("cli") / "net"
    net = network.create(path, Plan(name="test", difficulty=64))
    store = Store(net.database, net.genesis.data, [root.data for root in net.roots])
    for outcomes in (("current", "updated", "tampered"), ("current", "rolled-back")):
        for outcome in outcomes:
            add_log(net, store, outcome)
        Miner(store, net.private("node")).flush()
    store.close()
    return path


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The same chain on a node."""
    net = network.load(folder)
    store = Store(net.database, net.genesis.data, [root.data for root in net.roots])
    started = threading.Event()
    found: list[str] = []
    loop = asyncio.new_event_loop()

    async def root(request: web.Request) -> web.FileResponse:
        path = folder / "roots" / request.match_info["number"]
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path)

    async def begin() -> web.AppRunner:
        app = web.Application()
        app.add_routes([*routes(store), web.get("/root/{number}", root)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        found.append(f"http://{host}:{port}")
        started.set()
        return runner

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(begin())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(20)
    yield found[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()
    store.close()


def outcome_of(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = fwchain(["chain", *args])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, folder: Path, url: str) -> str:
    return str(folder) if request.param == "folder" else url


def test_show(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome_of(capsys, "show", place)
    assert code == 0 and "2 blocks, 5 verification logs" in out
    assert out.count("current") == 2 and "rolled-back" in out and "lamp" in out
    code, out, _ = outcome_of(capsys, "show", place, "--json", "--outcome", "tampered")
    rows = json.loads(out)["blocks"]
    assert code == 0 and [len(row["logs"]) for row in rows] == [1, 0]
    assert rows[0]["maker"] == "verification node" and rows[0]["counter"] == 0
    assert rows[1]["previous"] == rows[0]["hash"]
    _, out, _ = outcome_of(capsys, "show", place, "--json", "--from", "2", "--model", "lamp")
    assert [row["height"] for row in json.loads(out)["blocks"]] == [2]


def test_verify(place: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome_of(capsys, "verify", place)
    assert code == 0 and out.startswith("good: 2 blocks from genesis")
    code, out, _ = outcome_of(capsys, "verify", place, "--json", "--genesis", str(folder / "genesis"))
    found = json.loads(out)
    assert (found["height"], found["logs"], found["successes"], found["releases"]) == (2, 5, 3, 0)
    assert found["outcomes"] == {"current": 2, "updated": 1, "tampered": 1, "rolled-back": 1}


def test_a_proof_is_checked_with_nothing_but_genesis(
    place: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = outcome_of(capsys, "show", place, "--json")
    log = json.loads(out)["blocks"][0]["logs"][1]
    path = tmp_path / "one.proof"
    code, out, _ = outcome_of(capsys, "proof", log["id"][:12], place, "-o", str(path))
    assert code == 0 and path.stat().st_size < 3000
    alone = tmp_path / "genesis"  # no network, no node: the genesis file alone
    shutil.copy(folder / "genesis", alone)
    code, out, _ = outcome_of(capsys, "verify", "--proof", str(path), "--genesis", str(alone))
    assert code == 0 and "good: updated, lamp 1.0.0" in out and log["id"] in out
    code, out, _ = outcome_of(capsys, "verify", "--proof", str(path), "--genesis", str(alone), "--json")
    assert json.loads(out)["record"] == log
    data = bytearray(path.read_bytes())
    for at in range(7, data.index(b"5:roots"), 53):  # root 1's own signatures do not matter: genesis pins the rest
        data[at] ^= 1
        path.write_bytes(data)
        code, out, err = outcome_of(capsys, "verify", "--proof", str(path), "--genesis", str(alone))
        assert code == 4 and not out and "the proof is not good" in err, at
        data[at] ^= 1


def test_checkpoint(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "net"
    shutil.copytree(folder, copy)
    file = str(tmp_path / "cp")
    code, _, err = outcome_of(capsys, "checkpoint", str(copy), file)
    assert code == 3 and "no block at height -4; the tip is at 2" in err
    code, out, _ = outcome_of(capsys, "checkpoint", str(copy), file, "--height", "1", "--json")
    told = json.loads(out)
    assert code == 0 and (told["height"], told["signatures"], told["in_force"]) == (1, 1, True)
    net = network.load(copy)
    store = Store(net.database, net.genesis.data, [root.data for root in net.roots])
    found = store.checkpoint()
    assert found is not None and found.data == Path(file).read_bytes()
    store.close()
    other = network.create(tmp_path / "other", Plan(name="other", difficulty=64))
    Store(other.database, other.genesis.data, [root.data for root in other.roots]).close()
    code, _, err = outcome_of(capsys, "checkpoint", str(other.folder), file)
    assert code == 4 and "another network" in err


def test_wrong_turns_get_one_line(folder: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = network.create(tmp_path / "other", Plan(name="other"))
    for args, code, text in (
        (("show", str(tmp_path / "nowhere")), 3, "there is no network yet"),
        (("show", str(tmp_path)), 3, "is no network folder"),
        (("show", str(other.folder)), 3, "fwchain serve"),
        (("verify", "http://127.0.0.1:9"), 5, "is its node running?"),
        (("verify", url, "--genesis", other.genesis.hash.hex()), 4, "hash"),
        (("verify", url, "--genesis", "abc"), 3, "neither a genesis file nor a hash"),
        (("proof", "zz", str(folder)), 3, "no id"),
        (("proof", "00000000", str(folder)), 3, "no verification log or release"),
        (("verify", str(folder), "--proof", str(tmp_path / "none")), 1, "No such file"),
        (("verify", "--proof", str(tmp_path / "x"), "--genesis", str(tmp_path / "y")), 3, "no genesis file"),
    ):
        found, out, err = outcome_of(capsys, *args)
        assert found == code and text in err and not out and len(err.strip().splitlines()) == 1, (args, found, err)


def test_a_chain_that_was_changed_is_not_good(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    copy = tmp_path / "net"
    shutil.copytree(folder, copy)
    database = sqlite3.connect(network.load(copy).database.removeprefix("sqlite:///"))
    (data,) = database.execute("select data from chain_block where height = 2").fetchone()
    changed = data.replace(b"7:current", b"7:updated")
    assert changed != data
    with database:
        database.execute("update chain_block set data = ? where height = 2", (changed,))
    code, _, err = outcome_of(capsys, "verify", str(copy))
    with database:
        database.execute("update chain_block set data = ? where height = 2", (data,))
        database.execute("update chain_block set hash = ? where height = 2", (bytes(32),))
    database.close()
    told, _, other = outcome_of(capsys, "verify", str(copy))
    assert told == 4 and "its last block is" in other
    assert code == 4 and "block 2: root: the merkle root is not that of the records" in err
