"""Provisions a virtual board that is off by writing into its flash: what `fwchain board provision` does to a board
that runs, through its serial port.
"""

from __future__ import annotations

import json
from typing import Any

from fwchain.board import provision
from fwchain.board.virtual import VirtualBoard
from fwchain.flashing.provision import Answers, certify, configuration
from fwchain.network import Network
from fwnode import crypto
from fwnode.trust.release import Release
from fwnode.update.keys import NAMESPACE

FOLDER = "/fwchain/"
WIFI = ("virtual", "virtual")  # a virtual board whose folder names no access points finds any


def enrol(board: VirtualBoard, network: Network, running: Release | None = None, **changes: Any) -> bytes:
    """Give the board a key, a certificate, the network's documents and its configuration; returns its public key.

    `running` is the release in its slot; `changes` replace values of the configuration.
    """
    answers = Answers(model=running.model if running else "", wifi=(WIFI,))
    values = {**configuration(network, board.kind, answers), **changes}
    private = crypto.generate_key()
    public = crypto.public_key(private)
    keys: dict[str, int | bytes] = {"sk": private, "pk": public, "genesis": network.genesis.hash}
    if network.genesis.certified:
        keys["cert"] = certify(network, str(values["model"]), public)
    files = {
        FOLDER + "config.json": json.dumps(values).encode(),
        FOLDER + "genesis": network.genesis.data,
        FOLDER + "root": network.root.data,
    }
    if running is not None:
        files[FOLDER + "running.m"] = running.metainfo
    provision.provision(board.flash, board.table, files, {NAMESPACE: keys})
    return public
