"""A board's proofs of its own logs: asked of a node, checked against the headers that the board keeps."""

import asyncio

from chain_parts import TIME, Network
from fwnode import proofs, unsent
from fwnode.chain import ChainError
from fwnode.chain.authority import Authority
from fwnode.chain.headers import FILE_SIZE, HeaderChain
from fwnode.chain.inclusion import inclusion
from fwnode.crypto import sha256
from fwnode.wire import WireError
from fwnode.wire.bencode import decode, encode
from support import raises, run
from test_net_http import Echo

_kept = []


class Flash:
    """The ring's flash in RAM."""

    def __init__(self):
        self.data = bytearray(FILE_SIZE)

    def readinto(self, offset, buffer):
        buffer[:] = self.data[offset : offset + len(buffer)]

    def write(self, offset, data):
        self.data[offset : offset + len(data)] = data

    def sync(self):
        pass


class Files(dict):
    """fwnode.update.files.FileStore in RAM."""

    def read(self, name, limit=8192):
        return self.get(name)

    def write(self, name, data):
        self[name] = data

    def rename(self, name, new):
        if name in self:
            self[new] = self.pop(name)


def scene():
    """(network, the board's header chain, a log of the board, its inclusion in block 1)."""
    if not _kept:
        network = Network()
        log = network.log(1)
        link = network.genesis.link()
        data = network.by_node(link, [network.log(2), log])
        chain = HeaderChain(Flash(), network.genesis)
        assert run(chain.take([network.block(data).announcement()], Authority(network.root, True), TIME + 200))
        _kept.append((network, chain, log, inclusion(1, network.block(data), 2)))
    return _kept[0]


class Node(Echo):
    """A node that answers each GET with the same body, and what was asked."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.asked = []

    def get(self, path):
        self.asked.append(path)
        return self.body


def served(proof):
    """What `collect` makes of a node that answers so; the files afterwards."""
    _, chain, log, _ = scene()
    files = Files()
    unsent.expect(files, log)

    async def go():
        node = Node(proof)
        await node.start()
        try:
            heights = await proofs.collect(files, chain, node.url, None)
        finally:
            await node.listener.stop()
        assert node.asked == ["/chain/proof/" + sha256(log).hex()]
        return heights

    return asyncio.run(go()), files


def test_a_log_that_is_in_the_chain_is_proven_and_the_proof_kept():
    proof = scene()[3]
    heights, files = served(proof)
    assert heights == [1] and files["proof-0"] == proof and files["pending"] == b""


def test_a_log_that_is_not_there_yet_is_asked_for_again():
    heights, files = served(None)
    assert heights == [] and files["pending"] == sha256(scene()[2]) and "proof-0" not in files


def test_a_false_proof_is_refused():
    network, chain, log, proof = scene()
    digest = sha256(log)
    other = inclusion(1, network.block(network.by_node(network.genesis.link(), [log])), 1)
    for data, error in (
        (other, ChainError),  # of a block that is not in this board's chain
        (encode(dict(decode(proof), i=1)), ChainError),
        (encode(dict(decode(proof), height=2)), ChainError),
        (encode(dict(decode(proof), path=[bytes(32)])), ChainError),
        (proof[:-1], WireError),
    ):
        raises(error, proofs.check, data, digest, chain)
    raises(ChainError, proofs.check, proof, bytes(32), chain)


def test_the_newest_logs_are_waited_for_and_the_newest_proofs_kept():
    files = Files()
    for number in range(12):
        unsent.expect(files, b"%d" % number)
        proofs.keep(files, b"proof %d" % number)
    assert files["pending"] == b"".join([sha256(b"%d" % number) for number in range(4, 12)])
    assert [files["proof-%d" % number] for number in range(4)] == [b"proof %d" % n for n in (11, 10, 9, 8)]
    assert len(files) == 5
