"""Hostile datagrams for the local network of a test: every kind that somebody can send who holds no certified key."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from fwchain.network import Network
from fwnode import crypto
from fwnode.chain.header import Header
from fwnode.chain.pow import confirm
from fwnode.compat import run
from fwnode.net.lan import IP_MULTICAST_IF, MAX_DATAGRAM
from fwnode.trust import cert
from fwnode.wire import message
from fwnode.wire.bencode import decode, encode

MODEL = "thermometer"
SENDERS = 40  # addresses
PORT = 4000


class Key:
    """A key and its certificate, signed by `enrolment`: the network's, or one that the network does not know."""

    def __init__(self, enrolment: bytes, model: str = MODEL) -> None:
        self.private = crypto.generate_key()
        self.public = crypto.public_key(self.private)
        self.certificate = run(cert.issue(enrolment, model, self.public, int(time.time()) + 10**6))


class Hostile:
    """Makes the messages; two certified boards said something once, which everybody may copy."""

    def __init__(self, network: Network, firmware: list[tuple[str, bytes]], seed: int = 1) -> None:
        """`firmware` lists versions that boards may run, with their verifiers."""
        self.net = network.genesis.net
        self.difficulty = network.genesis.difficulty
        self.genesis = network.genesis
        self.firmware = firmware
        self.random = random.Random(seed)
        self.enrolment = crypto.generate_key()  # of nobody's trust root
        self.member, self.fellow = (Key(network.private("enrolment")) for _ in range(2))
        self.replayed = [self.join(self.member, asker=self.fellow), self.request(self.member)[0], self.log(self.member)]

    # messages; `key` signs, or nobody does

    def request(self, key: Key, signed: bool = True, **changes: Any) -> tuple[bytes, int]:
        """(a req_verchk, its r)."""
        r = self.random.getrandbits(63)
        body = self._new("req_verchk", key, r)
        body.update(d=MODEL.encode(), v=self.firmware[0][0].encode(), port=PORT, cert=key.certificate)
        body["ts"] = int(time.time())
        return self._end(key, body, signed, changes), r

    def join(self, key: Key, signed: bool = True, asker: Key | None = None, **changes: Any) -> bytes:
        """A join_verification of this key, with a request inside it."""
        version, verifier = self.random.choice(self.firmware)
        ask, r = self.request(asker or key, signed, v=version.encode())
        body = self._new("join_verification", key, r)
        body.update(d=MODEL.encode(), v=version.encode(), h=verifier, ts=int(time.time()), port=PORT)
        body.update(ask=ask, id=decode(ask)["from"], cert=key.certificate)
        return self._end(key, body, signed, changes)

    def log(self, key: Key, signed: bool = True, **changes: Any) -> bytes:
        """A confirmation of a join that nobody has heard of, with its work unless `changes` say otherwise."""
        r = self.random.getrandbits(63)
        join = self.random.randbytes(32)
        body = self._new("verification_log", key, r)
        body.update(req=self.random.randbytes(20), res=self.random.randbytes(20), ts=int(time.time()), o=b"confirmed")
        version, verifier = self.random.choice(self.firmware)
        body.update(d=MODEL.encode(), v=version.encode(), h=verifier, join=join, cert=key.certificate)
        body["nonce"] = run(confirm(join, key.public, 64))
        return self._end(key, body, signed, changes)

    def block(self, key: Key, signed: bool = True, **changes: Any) -> bytes:
        """The announcement of a block without work."""
        r = self.random.getrandbits(63)
        header = Header(600, self.genesis.hash, self.random.randbytes(32), int(time.time()), self.difficulty)
        head = {"t": b"head", "net": self.net, "head": header.encode(), "c": 1, "root": 1, "cert": key.certificate}
        head["sig"] = self.random.randbytes(64)
        body = self._new("block", key, r)
        body.update(block=encode(head), port=PORT, ts=int(time.time()))
        return self._end(key, body, signed, changes)

    def _new(self, kind: str, key: Key, r: int) -> dict[str, Any]:
        return dict(message.new(kind, self.net, message.node_id(key.public, r), b"", r))

    def _end(self, key: Key, body: dict[str, Any], signed: bool, changes: dict[str, Any]) -> bytes:
        body.update(changes)
        if signed:
            return bytes(run(message.sign(key.private, body)))
        body["sig"] = self.random.randbytes(64)
        return bytes(encode({name: value for name, value in body.items() if value is not None}))

    # kinds of datagrams

    def noise(self) -> bytes:
        return self.random.randbytes(self.random.randrange(1, MAX_DATAGRAM))

    def truncated(self) -> bytes:
        whole = self.join(self._fresh(), signed=False)
        return whole[: self.random.randrange(1, len(whole))]

    def oversized(self) -> bytes:
        return self.join(self._fresh(), signed=False) + bytes(self.random.randrange(MAX_DATAGRAM, MAX_DATAGRAM + 200))

    def misshapen(self) -> bytes:
        wrong: dict[str, Any] = {"ts": b"now"}
        name, value = self.random.choice(
            [("id", 5), ("id", None), ("id", [1]), ("from", []), ("r", -1), ("r", b""), ("d", {}), ("cert", b"x")]
        )
        return self.join(self._fresh(), signed=False, **{**wrong, name: value})

    def other_network(self) -> bytes:
        return self.join(self._fresh(), signed=False, net=self.random.randbytes(8))

    def long_ago(self) -> bytes:
        return self.join(self._fresh(), signed=False, ts=int(time.time()) - 1000)

    def wrong_signature(self) -> bytes:
        return self.random.choice([self.join, self.log, self.block])(self._fresh(), signed=False)

    def wrong_request(self) -> bytes:
        return self.request(self._fresh(), signed=False)[0]

    def uncertified(self) -> bytes:
        """Good in everything, but that no enrolment key of this network has certified the sender."""
        return self.random.choice([self.join, self.log, lambda key: self.request(key)[0]])(Key(self.enrolment))

    def without_certificate(self) -> bytes:
        key = self._fresh()
        return self.request(key, signed=False, cert=None, pu=key.public)[0]

    def replay(self) -> bytes:
        return self.random.choice(self.replayed)

    def copied_certificate(self) -> bytes:
        return self.random.choice([self.join, self.log, self.block])(self.member, signed=False)

    def without_work(self) -> bytes:
        return self.random.choice([self.block, lambda key: self.log(key, nonce=0)])(Key(self.enrolment))

    def _fresh(self) -> Key:
        """A key of its own, as cheap as it can be had: what is not signed needs no private key."""
        key = Key.__new__(Key)
        key.public = b"\x04" + self.random.randbytes(64)
        body = {"d": MODEL.encode(), "pu": key.public, "exp": int(time.time()) + 10**6, "by": bytes(20)}
        key.certificate = encode({**body, "sig": self.random.randbytes(64)})
        return key

    def kinds(self) -> dict[str, Callable[[], bytes]]:
        """Every kind, by name."""
        made = (
            self.noise, self.truncated, self.oversized, self.misshapen, self.other_network, self.long_ago,
            self.wrong_signature, self.wrong_request, self.uncertified, self.without_certificate, self.replay,
            self.copied_certificate, self.without_work,
        )  # fmt: skip
        return {one.__name__: one for one in made}

    def datagrams(self) -> Iterator[tuple[str, bytes]]:
        """(kind, datagram), every kind as often as the others, without end."""
        kinds = self.kinds()
        while True:
            for name, make in kinds.items():
                yield name, make()


class Group:
    """Sends to the local network's group from many addresses."""

    def __init__(self, network: Network) -> None:
        lan = network.config["lan"]
        self.where = (lan["group"], lan["port"])
        self.sockets = []
        for number in range(SENDERS):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind((f"127.99.{number}.7", 0))
            sender.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            self.sockets.append(sender)

    def send(self, data: bytes, turn: int) -> None:
        """One datagram, once."""
        self.sockets[turn % SENDERS].sendto(data, self.where)

    def close(self) -> None:
        """Close every socket."""
        for one in self.sockets:
            one.close()
