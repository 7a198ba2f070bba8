"""Publishing over mutual TLS, and each way in which it is refused."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from vendor_world import NOW, make_network, publishing, write_release

from fwchain import keyfile, tls
from fwchain.errors import NotTrusted, SetupError, Unreachable
from fwchain.network import Network
from fwchain.vendor import build, publish, signing
from fwnode import crypto
from fwnode.trust.release import Release


def client(net: Network, owner: Network | None = None, pinned: Network | None = None) -> tls.ssl.SSLContext:
    owner, pinned = owner or net, pinned or net
    return tls.client(
        owner.folder / "tls" / "vendor.crt", owner.key_files("vendor")[0], pinned.folder / "tls" / "node.crt"
    )


def send(net: Network, path: Path, context: tls.ssl.SSLContext | None = None) -> dict:
    release = signing.read(path)
    sent: list[int] = []
    answer = publish.publish(
        net.publish_url, context or client(net), release, build.file_paths(release, path.parent), sent.append
    )
    assert sum(sent) == release.size
    return answer


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return make_network(tmp_path / "net")


@pytest.fixture
def signed(tmp_path: Path, net: Network) -> Path:
    path = write_release(tmp_path / "release")
    signing.sign(path, net.key_files("vendor"), net)
    return path


def test_a_signed_release_arrives_whole(net: Network, signed: Path) -> None:
    release = signing.read(signed)
    with publishing(net) as taken:
        assert send(net, signed)["info_hash"] == release.info_hash.hex()
    assert [one.metainfo for one in taken] == [release.metainfo]
    stored = net.releases / release.info_hash.hex() / release.name
    assert stored.read_bytes() == (signed.parent / release.name).read_bytes()


def test_another_vendors_certificate_is_refused(tmp_path: Path, net: Network, signed: Path) -> None:
    stranger = make_network(tmp_path / "stranger")
    with publishing(net) as taken, pytest.raises(NotTrusted, match="refuses the vendor's certificate"):
        send(net, signed, client(net, owner=stranger))
    assert taken == []


def test_a_client_without_certificate_is_refused(net: Network, signed: Path) -> None:
    context = tls.ssl.SSLContext(tls.ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(net.folder / "tls" / "node.crt")
    with publishing(net) as taken, pytest.raises(NotTrusted, match="refuses the vendor's certificate"):
        send(net, signed, context)
    assert taken == []


def test_another_nodes_certificate_is_refused(tmp_path: Path, net: Network, signed: Path) -> None:
    other = make_network(tmp_path / "other")
    with publishing(net) as taken, pytest.raises(NotTrusted, match="not the verification node whose certificate"):
        send(net, signed, client(net, pinned=other))
    assert taken == []


def test_a_node_that_is_not_there(net: Network, signed: Path) -> None:
    with pytest.raises(Unreachable, match="is `fwchain serve` running?"):
        send(net, signed)


def test_a_port_that_is_no_nodes(net: Network, signed: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", net.config["node"]["publish_port"]))
        sock.listen()
        sock.settimeout(10)
        import threading

        thread = threading.Thread(target=lambda: sock.accept()[0].close(), daemon=True)
        thread.start()
        with pytest.raises((Unreachable, NotTrusted)):
            send(net, signed)
        thread.join(10)


def test_an_unsigned_release_is_refused_by_the_node_too(tmp_path: Path, net: Network) -> None:
    path = write_release(tmp_path / "unsigned")
    with publishing(net) as taken, pytest.raises(NotTrusted, match="refuses thermometer 1.0.0: .*vendor signatures"):
        send(net, path)
    assert taken == []


def test_the_same_version_twice_is_refused(net: Network, signed: Path) -> None:
    with publishing(net) as taken:
        send(net, signed)
        with pytest.raises(Unreachable, match="is published already"):
            send(net, signed)
    assert len(taken) == 1


def test_bytes_that_are_not_the_signed_ones_are_refused(net: Network, signed: Path) -> None:
    image = signed.parent / signing.read(signed).name
    data = bytearray(image.read_bytes())
    data[300] ^= 1
    image.write_bytes(data)
    with publishing(net) as taken, pytest.raises(Unreachable, match="do not have the verifier"):
        send(net, signed)
    assert taken == []
    assert list(net.releases.iterdir()) == []


def test_an_expired_release_is_refused_by_the_node(net: Network, signed: Path) -> None:
    with publishing(net, clock=NOW + 400 * 86400), pytest.raises(NotTrusted, match="expired"):
        send(net, signed)


def test_files_are_looked_at_before_anything_is_sent(net: Network, signed: Path) -> None:
    image = signed.parent / signing.read(signed).name
    image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(SetupError, match="build it anew"):
        send(net, signed)
    image.unlink()
    with pytest.raises(SetupError, match="no such file"):
        send(net, signed)


def test_a_key_that_does_not_fit_the_certificate(tmp_path: Path, net: Network) -> None:
    keyfile.save(tmp_path / "other.pem", crypto.generate_key())
    with pytest.raises(SetupError, match="is not the key of the certificate"):
        tls.client(net.folder / "tls" / "vendor.crt", tmp_path / "other.pem", net.folder / "tls" / "node.crt")


def test_certificates_are_valid_from_the_start(net: Network) -> None:
    from cryptography import x509

    for name in ("vendor", "node"):
        certificate = x509.load_pem_x509_certificate((net.folder / "tls" / f"{name}.crt").read_bytes())
        assert certificate.not_valid_before_utc.timestamp() < time.time() < certificate.not_valid_after_utc.timestamp()


def test_release_is_what_boards_will_read(signed: Path) -> None:
    assert len(Release(signed.read_bytes()).metainfo) < 2048
