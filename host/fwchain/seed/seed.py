"""Seeding with libtorrent: one session, any number of releases."""

from __future__ import annotations

import errno
import socket
import time
from pathlib import Path
from typing import Any

import libtorrent as lt

from fwchain.errors import HostError

START_S = 5


class SeedError(HostError):
    """The seed cannot start or take a release; the text says why."""


class PortTaken(SeedError):
    """Somebody listens on the seed's port already."""


def slots(upload_rate: int) -> int:
    """Peers served at once: few where upload is scarce, so that pieces are whole soon and fellows spread them."""
    return max(4, upload_rate // 250_000) if upload_rate else 64


def settings(host: str, port: int, upload_rate: int, dht: bool, local_discovery: bool) -> dict[str, Any]:
    """libtorrent's settings for a plain BEP 3 seed: no obfuscation, no uTP, nothing that looks for the outside."""
    where = f"[{host}]" if ":" in host else host
    return {
        "listen_interfaces": f"{where}:{port}",
        "user_agent": "fwchain",
        "enable_dht": dht,
        "enable_lsd": local_discovery,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "in_enc_policy": int(lt.enc_policy.disabled),
        "out_enc_policy": int(lt.enc_policy.disabled),
        "allow_multiple_connections_per_ip": True,
        "ssrf_mitigation": False,
        "upload_rate_limit": upload_rate,
        "unchoke_slots_limit": slots(upload_rate),
        "close_redundant_connections": True,
        "max_retry_port_bind": 0,
        "stop_tracker_timeout": 1,  # seconds that a tracker may keep the end waiting
        "alert_mask": int(lt.alert.category_t.error_notification | lt.alert.category_t.status_notification),
    }


def _session(pack: dict[str, Any]) -> Any:
    return lt.session(pack)  # type: ignore[call-overload]


def _check_free(host: str, port: int) -> None:
    """Raise SeedError when somebody listens there: libtorrent itself would share the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        kind = PortTaken if error.errno == errno.EADDRINUSE else SeedError
        why = str(error.strerror).split(" (while")[0]  # what Python adds says the address once more
        raise kind(f"seed: cannot listen on {host}:{port}: {why}") from error


class Seed:
    """A libtorrent session that seeds releases on `port` until `stop`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        upload_rate: int = 0,
        dht: bool = False,
        local_discovery: bool = False,
    ) -> None:
        """Listen; raises SeedError when the port is taken. `upload_rate` is in bytes a second in all, 0: no limit."""
        _check_free(host, port)
        self._session = _session(settings(host, port, upload_rate, dht, local_discovery))
        # without this, libtorrent exempts peers of private and loopback networks from the limit
        everyone = lt.ip_filter()
        everyone.add_rule("0.0.0.0", "255.255.255.255", 1)  # the global class alone
        everyone.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1)
        self._session.set_peer_class_filter(everyone)
        self._handles: dict[bytes, Any] = {}
        self.port = self._listening(host, port)

    def _listening(self, host: str, port: int) -> int:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            self._session.wait_for_alert(100)
            for alert in self._session.pop_alerts():
                if isinstance(alert, lt.listen_failed_alert):
                    self.stop()
                    raise SeedError(f"seed: cannot listen on {host}:{port}: {alert.error.message()}")
                if isinstance(alert, lt.listen_succeeded_alert):
                    return int(alert.port)
        self.stop()
        raise SeedError(f"seed: no listening socket on {host}:{port} within {START_S} s")

    def add(self, metainfo: bytes, save_path: Path) -> None:
        """Seed the release of this metainfo, whose files lie under `save_path`; raises SeedError."""
        try:
            info = lt.torrent_info(lt.bdecode(metainfo))  # type: ignore[arg-type]
        except RuntimeError as error:
            raise SeedError(f"seed: metainfo: {error}") from error
        files = info.layout() if hasattr(info, "layout") else info.files()
        for index in range(files.num_files()):
            path = save_path / files.file_path(index)
            if not path.is_file() or path.stat().st_size != files.file_size(index):
                raise SeedError(f"seed: {path} is missing or not {files.file_size(index)} bytes long")
        params = lt.add_torrent_params()
        params.ti = info
        params.save_path = str(save_path)
        params.flags = lt.torrent_flags.seed_mode
        handle = self._session.add_torrent(params)
        self._handles[info.info_hash().to_bytes()] = handle

    def remove(self, info_hash: bytes) -> None:
        """Seed it no longer."""
        handle = self._handles.pop(info_hash, None)
        if handle is not None:
            self._session.remove_torrent(handle)

    def uploaded(self, info_hash: bytes | None = None) -> int:
        """Payload bytes sent since the start, of one release or of all."""
        handles = self._handles.values() if info_hash is None else [self._handles[info_hash]]
        return sum(int(handle.status().total_payload_upload) for handle in handles)

    def peers(self, info_hash: bytes) -> int:
        """Connections of one release."""
        return int(self._handles[info_hash].status().num_peers)

    def stop(self) -> None:
        """End the session; its threads end a moment later."""
        self._handles.clear()
        if self._session is not None:
            self._session.pause()
            self._session = None
