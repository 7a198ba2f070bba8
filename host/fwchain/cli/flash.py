"""`fwchain board flash|provision|deploy|repl|monitor|firmware|reset`: boards at a serial port.

The commands belong to the group `fwchain board`: `add_to` puts them there.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import typer

from fwchain.flashing import ports, tools
from fwchain.flashing.flash import BAUD
from fwchain.flashing.show import Show

BOARD = typer.Option("virtual", "--board", "-b", help="Kind of board: a folder of boards/.")
WHICH = typer.Option(ports.ANY, "--board", "-b", help="Kind of board to look for, when no port is given.")
PORT = typer.Option(
    None,
    "--port",
    "-p",
    help="Device, rfc2217://…, socket://…, or a virtual board's name or folder; left out: the one board that is found.",
)
TOOL = typer.Option("mpremote", "--tool", help="mpremote or ampy.")
JSON = typer.Option(False, "--json", help="One JSON object a line.")

app = typer.Typer(help="Flash, provision and talk to boards.", no_args_is_help=True)


def add_to(group: typer.Typer) -> None:
    """Put these commands into another group."""
    group.registered_commands.extend(app.registered_commands)


@app.command()
def flash(
    board: str = BOARD,
    port: str = PORT,
    firmware: Path = typer.Option(
        None, "--firmware", "-f", help="Full flash image; virtual: built here when left out."
    ),
    application: Path = typer.Option(None, "--app", help="Application image for the first slot; keys and files stay."),
    keep: bool = typer.Option(False, "--keep", help="Do not erase the whole flash first."),
    baud: int = typer.Option(BAUD, "--baud", help="Speed of the serial line."),
    as_json: bool = JSON,
) -> None:
    """Erase, write and verify a board's flash with esptool."""
    from fwchain.board import boards
    from fwchain.errors import SetupError
    from fwchain.flashing import flash as flashing

    show = Show(as_json)
    kind = boards.load(board)
    if application is None and firmware is None and kind.platform != "virtual":
        raise SetupError(
            f"FIRMWARE is missing: download the OTA variant of MicroPython for {board} "
            "(micropython.org/download), 1.25 or later, and give its .bin"
        )
    place = ports.choose(board, port)
    if application is not None:
        flashing.flash_app(kind, place, application, show, baud=baud)
        return
    firmware = firmware or _virtual_firmware(show)
    flashing.flash_full(kind, place, firmware, show, erase=not keep, baud=baud)


def _virtual_firmware(show: Show) -> Path:
    from fwchain.board import boards
    from fwchain.flashing import build

    return build.build_virtual(boards.load("virtual"), Path("build", "firmware"), "thermometer", "1.0.0", show)[1]


@app.command()
def provision(
    board: str = BOARD,
    port: str = PORT,
    network: Path = typer.Option(..., "--network", "-n", help="The network's folder (`fwchain init`)."),
    model: str = typer.Option("", "--model", help="Model; default: the network's configuration."),
    version: str = typer.Option(
        "", "--version", help="Version of the firmware that it runs; default: the image's own."
    ),
    wifi_ssid: list[str] = typer.Option([], "--wifi-ssid", help="Wi-Fi name; may be repeated."),
    wifi_key: list[str] = typer.Option([], "--wifi-key", envvar="FWCHAIN_WIFI_KEY", help="Its key, in the same order."),
    node: str = typer.Option("", "--node", help="URL at which the board sees the verification node."),
    tool: str = TOOL,
    as_json: bool = JSON,
) -> None:
    """Make a board's key on the board, certify it, and write its network and configuration."""
    from fwchain import network as networks
    from fwchain.board import boards
    from fwchain.errors import SetupError
    from fwchain.flashing import prompt
    from fwchain.flashing import provision as provisioning

    if len(wifi_ssid) < len(wifi_key):
        raise SetupError("there are more Wi-Fi keys than names: give --wifi-ssid for each")
    pairs = [*zip(wifi_ssid, [*wifi_key, *[""] * len(wifi_ssid)], strict=False)]
    answers = provisioning.Answers(model, version, tuple(pairs), node)
    loaded = networks.load(network)
    kind = boards.load(board)
    place = ports.choose(board, port)
    with prompt.opened(tool, place) as opened:
        provisioning.provision(opened, kind, loaded, answers, Show(as_json))
        opened.restart()


@app.command()
def deploy(
    board: str = BOARD,
    port: str = PORT,
    tool: str = TOOL,
    source: Path = typer.Option(
        None, "--app", help="Folder of your application's sources: the names of fwnode in them stay as they are."
    ),
    as_json: bool = JSON,
) -> None:
    """Copy fwnode to a board, as a pack of .mpy files; what is there already stays."""
    from fwchain.flashing import deploy as deploying
    from fwchain.flashing import prompt
    from fwchain.vendor import firmware

    mentions = firmware.python_files(firmware.sources(source)) if source else []
    with prompt.opened(tool, ports.choose(board, port)) as opened:
        deploying.deploy(opened, Show(as_json), mentions=mentions)
        opened.restart()


@app.command()
def repl(board: str = WHICH, port: str = PORT) -> None:
    """Open a board's Python prompt (mpremote; Ctrl-] leaves it)."""
    place = ports.choose(board, port)
    code = subprocess.call([*tools.command("mpremote"), "connect", place, "repl"])
    raise typer.Exit(code)


@app.command()
def monitor(
    board: str = WHICH,
    port: str = PORT,
    seconds: float = typer.Option(None, "--seconds", help="End after so long; default: Ctrl-C."),
) -> None:
    """Print what a board says, from its boot loader on."""
    from fwchain.flashing import lines

    lines.monitor(ports.choose(board, port), seconds=seconds)


@app.command()
def firmware(
    board: str = BOARD,
    source: Path = typer.Argument(None, help="Firmware folder with app.py (virtual); default: the example."),
    folder: Path = typer.Option(Path("build/firmware"), "--out", "-o", help="Where to put it."),
    model: str = typer.Option("thermometer", "--model", help="Model (virtual)."),
    version: str = typer.Option("1.0.0", "--version", help="Version (virtual)."),
    as_json: bool = JSON,
) -> None:
    """Build a board's firmware: virtual here, others with ESP-IDF where that is installed."""
    from fwchain.board import boards
    from fwchain.flashing import build

    kind = boards.load(board)
    show = Show(as_json)
    if kind.platform == "virtual":
        build.build_virtual(kind, folder, model, version, show, source)
    else:
        build.build_real(kind, folder, show)


@app.command()
def reset(
    folder: Path = typer.Argument(None, help="Folder of a virtual board that runs in another terminal."),
    board: str = WHICH,
    port: str = PORT,
    download: bool = typer.Option(False, "--download", help="Into download mode, for esptool (BOOT held)."),
) -> None:
    """Reset a board: by its button (FOLDER), or by the reset line of its port."""
    from fwchain.flashing import lines

    if folder is not None:
        _press(folder, download)
        place = str(folder)
    else:
        place = ports.choose(board, port)
        lines.reset(place, download)
    Show().say(f"{place}: reset into {'download mode' if download else 'its firmware'}")


def _press(folder: Path, download: bool) -> None:
    from fwchain.board import lock
    from fwchain.board.runtime.vb import state
    from fwchain.board.virtual import VirtualBoard
    from fwchain.errors import SetupError

    with VirtualBoard(folder) as pressed:
        if not lock.is_taken(pressed.folder):
            raise SetupError(f"{folder} is not running: `fwchain board run {folder}`")
        asked = state.CONTROL_DOWNLOAD if download else state.CONTROL_RESET
        state.put(pressed.flash.state, state.CONTROL, asked)
