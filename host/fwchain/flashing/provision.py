"""`fwchain board provision`: a board's key, made on the board; its certificate, network and
configuration.

The private key never leaves the board. The network folder's enrolment key certifies the public one.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

from fwchain import keyfile
from fwchain.board.boards import Board
from fwchain.errors import SetupError
from fwchain.flashing import boardside
from fwchain.flashing.errors import FlashingError
from fwchain.flashing.prompt import Prompt
from fwchain.flashing.show import Show
from fwchain.network import Network
from fwnode.compat import run
from fwnode.config import Config
from fwnode.trust import cert
from fwnode.wire.message import key_id

VIRTUAL_WIFI = (("virtual", "virtual"),)  # a virtual board finds an access point of any name
VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Answers:
    """What provisioning can be told; empty means: from the network's configuration or the image."""

    model: str = ""
    version: str = ""
    wifi: tuple[tuple[str, str], ...] = ()
    node: str = ""  # URL under which the board sees the verification node


@dataclass(frozen=True)
class Provisioned:
    """What came of it."""

    public: bytes
    new_key: bool
    verifier: str
    version: str


def configuration(network: Network, board: Board, answers: Answers) -> dict[str, object]:
    """/fwchain/config.json of a board; raises ConfigError when a value is outside its limits."""
    config = network.config
    wifi = answers.wifi or (VIRTUAL_WIFI if board.platform == "virtual" else ())
    values: dict[str, object] = {
        "network": network.name,
        "model": answers.model or config["board"]["model"],
        "platform": board.platform,
        "nodes": [answers.node or config.url],
        "port": config["board"]["port"],
        "wifi": [list(one) for one in wifi],
        "group": config["lan"]["group"],
        "group_port": config["lan"]["port"],
        "check_s": max(1, int(config["board"]["check_s"])),
        "discovery_port": config["board"]["discovery_port"],
        "wide_erase": bool(config["board"]["wide_erase"]),
        "open": not network.genesis.certified,
    }
    Config(values)
    return values


def provision(prompt: Prompt, board: Board, network: Network, answers: Answers, show: Show) -> Provisioned:
    """Provision the board at `prompt`, on which fwnode is; raises FlashingError or SetupError."""
    values = configuration(network, board, answers)
    with show.step(f"making the key on {prompt.port}"):
        facts = _call(prompt, boardside.KEY, timeout=300)
    public = bytes.fromhex(facts["pk"])
    show.say("the board had a key already: it keeps it" if facts["had"] else "key made on the board")
    version = answers.version or facts["version"]
    if not VERSION.fullmatch(version):
        version = "0.0.0"
        show.say("the running image tells no version x.y.z: taken as 0.0.0 (see --version)")
    certificate = b""
    if network.genesis.certified:
        with show.step("certifying it with the network's enrolment key"):
            certificate = certify(network, str(values["model"]), public)
    with show.step("writing certificate, genesis, trust root and configuration"):
        answer = _call(
            prompt,
            boardside.INSTALL,
            timeout=300,
            CONFIG=json.dumps(values),
            GENESIS=(network.folder / "genesis").read_bytes().hex(),
            GENESIS_HASH=network.genesis.hash.hex(),
            ROOT=network.root.data.hex(),
            CERT=certificate.hex(),
            EPOCH=int(network.config["release"]["epoch"]),
            VERSION=version,
        )
    if not answer["ok"]:
        raise FlashingError(f"what {prompt.port} kept is not what was written: provision it again")
    show.say(
        f"provisioned for network {network.name}: model {values['model']}, version {version}, "
        f"verifier {answer['verifier'][:16]}…",
        public=facts["pk"],
        verifier=answer["verifier"],
    )
    return Provisioned(public, not facts["had"], answer["verifier"], version)


def certify(network: Network, model: str, public: bytes) -> bytes:
    """A certificate for the public key of a board of this model, of the life that is configured; raises SetupError."""
    expires = int(time.time()) + int(network.config["certificate"]["days"] * 86400)
    for path in network.key_files("enrolment"):
        if network.root.enrolment_key(key_id(keyfile.public(path))) is not None:
            return bytes(run(cert.issue(keyfile.load(path), model, public, expires)))
    raise SetupError(f"{path} is no enrolment key of root {network.root.number}: put one that it names into its place")


def _call(prompt: Prompt, program: str, timeout: float, **values: object) -> dict:
    try:
        return boardside.call(prompt, program, timeout, **values)  # type: ignore[no-any-return]
    except FlashingError as error:
        if "no module named 'fwnode" in str(error):
            raise SetupError(f"fwnode is not on the board at {prompt.port}: deploy it first (make deploy)") from None
        raise
