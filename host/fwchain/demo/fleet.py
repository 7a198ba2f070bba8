"""Virtual boards as a factory makes them: flashed, with key, certificate, network and a first release."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from fwchain.board import boards
from fwchain.board.virtual import VirtualBoard
from fwchain.network import Network
from fwnode import crypto
from fwnode.compat import run
from fwnode.config import Config
from fwnode.trust import cert
from fwnode.trust.release import Release

HEAP = 192 * 1024
WIFI = ("attic", "not a secret: it stands in the demo's source")
YEAR_S = 365 * 86400


def configuration(network: Network, **more: Any) -> dict[str, Any]:
    """/fwchain/config.json of a virtual board; raises fwnode.config.ConfigError."""
    config = network.config
    values = {
        "network": network.name,
        "model": config["board"]["model"],
        "platform": "virtual",
        "nodes": [config.url],
        "port": config["board"]["port"],
        "wifi": [list(WIFI)],
        "group": config["lan"]["group"],
        "group_port": config["lan"]["port"],
        "check_s": config["board"]["check_s"],
        "open": not network.genesis.certified,
        **more,
    }
    Config(values)
    return values


def provisioning(network: Network, release: Release, config: dict[str, Any]) -> tuple[dict[str, bytes], dict[str, Any]]:
    """(files, NVS values) of a new board that runs `release`: what a factory writes from outside."""
    private = crypto.generate_key()
    public = crypto.public_key(private)
    expires = int(time.time()) + 5 * YEAR_S
    certificate = run(cert.issue(network.private("enrolment"), config["model"], public, expires))
    files = {
        "/fwchain/config.json": json.dumps(config).encode(),
        "/fwchain/genesis": network.genesis.data,
        "/fwchain/root": network.root.data,
        "/fwchain/running.m": release.metainfo,
    }
    keys = {"sk": private, "pk": public, "cert": certificate, "genesis": network.genesis.hash}
    return files, {"fwchain": keys}


def make_board(folder: Path, network: Network, release: Release, image: bytes, **more: Any) -> VirtualBoard:
    """A new virtual board that is ready to be switched on; `more` goes into its configuration."""
    kind = boards.load("virtual")
    board = VirtualBoard.create(folder, kind.name, heap=HEAP, wifi=dict([WIFI]))
    board.flash_image(0, image)
    board.provision(*provisioning(network, release, configuration(network, **more)))
    return board
