"""`fwchain board`: virtual boards: make one, power it on, look at it, press its button, damage it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import typer

from fwchain.board import boards
from fwchain.board.runtime.vb import flash as nor
from fwchain.board.runtime.vb import state as st
from fwchain.board.traceback import readable
from fwchain.board.virtual import VirtualBoard
from fwchain.cli import flash
from fwchain.errors import HostError, SetupError
from fwchain.vendor.firmware import python_files, sources

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, run, flash and watch boards.")

FOLDER = typer.Argument(..., help="Folder of the virtual board.")
JSON = typer.Option(False, "--json", help="Print JSON for machines.")
DESCRIPTION = "0xb4"  # in an image's description, in the field of the ELF file's hash, which nothing runs or reads


@app.command()
def new(
    folder: Path = typer.Argument(..., help="Folder to make."),
    board: str = typer.Option("virtual", help="Kind of board: a folder of boards/."),
    mac: str = typer.Option("", help="Its MAC; by default derived from the folder's path."),
    heap: str = typer.Option("", help="MicroPython heap, like 192k; by default the kind's."),
    firmware: Path = typer.Option(None, help="Application image to put into slot 0."),
    blank: bool = typer.Option(False, "--blank", help="Leave the flash erased, without partition table."),
    as_json: bool = JSON,
) -> None:
    """Make a virtual board with an erased flash."""
    image = firmware.read_bytes() if firmware else None
    with VirtualBoard.create(folder, board, mac or None, heap=_size(heap), table=not blank) as made:
        if image is not None:
            made.flash_image(0, image)
        if as_json:
            typer.echo(json.dumps({"folder": str(folder), "mac": made.mac.hex(":"), "ip": made.ip}))
        else:
            typer.echo(f"{made.kind.description}: {folder}, MAC {made.mac.hex(':')}, address {made.ip}")


@app.command()
def run(
    folder: Path = FOLDER,
    serial: bool = typer.Option(False, "--serial", help="Give it a serial port with a REPL: a pty and a TCP port."),
    cut: str = typer.Option("", help="Cut power at flash operation N from now: N[:before|mid|bits|after]."),
    reboot: bool = typer.Option(False, "--reboot", help="Power it on again after a cut."),
    seconds: float = typer.Option(0, help="Power off after so many seconds; 0: run until Ctrl-C."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Do not print the console (it is in console.log)."),
) -> None:
    """Power a virtual board on and show its console, until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with VirtualBoard(folder) as board:
        if cut:
            board.cut_at(*_cut(cut))
        board.start(serial=serial, reboot_after_cut=reboot, on_line=None if quiet else typer.echo)
        if serial:
            pty, rfc2217, tcp = board.supervisor.urls
            typer.echo(f"serial port: {folder / 'tty'} -> {pty}, {rfc2217}, {tcp}", err=True)
        end = time.monotonic() + seconds if seconds else None
        try:
            while board.supervisor.alive and (end is None or time.monotonic() < end):
                time.sleep(0.1)
        except KeyboardInterrupt:
            typer.echo("power off", err=True)
        else:
            if cut and board.supervisor.state == "off":
                typer.echo(f"power was cut at flash operation {board.flash.operations}", err=True)


@app.command()
def status(folder: Path = FOLDER, as_json: bool = JSON) -> None:
    """Slots, versions and states, counters and wear of the flash."""
    with VirtualBoard(folder) as board:
        report = board.status()
    if as_json:
        typer.echo(json.dumps(report))
        return
    _print_status(report)


@app.command()
def flip(
    folder: Path = FOLDER,
    offset: str = typer.Argument(
        DESCRIPTION, help="Offset in flash, or in the slot when --slot is given; the default is in no code."
    ),
    slot: str = typer.Option("", help="0, 1 or running: count the offset from that slot's start."),
    as_json: bool = JSON,
) -> None:
    """Flip one bit of the flash, as damage or an attacker would. Works while the board runs."""
    with VirtualBoard(folder) as board:
        number = _slot(board, slot)
        try:
            value = int(offset, 0)
        except ValueError:
            raise HostError(f"offset {offset!r} is no number like 0x200") from None
        if not 0 <= value < board.flash.size:
            raise HostError(f"offset {offset} is outside the flash of {board.flash.size} bytes")
        address = board.flip(value, slot=number)
        now = board.flash.read(address, 1)[0]
    if as_json:
        typer.echo(json.dumps({"address": address, "value": now}))
    else:
        typer.echo(f"flash 0x{address:06x}: 0x{now ^ 1:02x} is now 0x{now:02x}")


@app.command()
def traceback(
    log: typer.FileText = typer.Argument(
        "-", errors="replace", help="What the board said; - or nothing: standard input."
    ),
    source: Path = typer.Option(None, "--app", help="Source folder of its application, where it runs a firmware."),
) -> None:
    """Print a board's console with fwnode's own names in tracebacks, where the board has short ones."""
    mentions = python_files(sources(source)) if source else []
    for line in readable(log, mentions):
        typer.echo(line, nl=False)


@app.command()
def kinds(as_json: bool = JSON) -> None:
    """The kinds of board that there are, and a check of their layouts."""
    loaded = [boards.load(name) for name in boards.names()]
    if as_json:
        typer.echo(json.dumps([{"name": b.name, "chip": b.chip, "flash": b.flash_size} for b in loaded]))
        return
    for kind in loaded:
        slots = kind.table.ota_slots
        typer.echo(f"{kind.name:10} {kind.description}; {len(slots)} slots of {slots[0].size // 1024} KiB")


def _print_status(report: dict[str, Any]) -> None:
    typer.echo(f"{report['name']} ({report['board']})  MAC {report['mac']}  address {report['ip']}")
    for slot in report["slots"]:
        mark = "*" if slot["running"] else " "
        what = f"{slot['model']} {slot['version']}" if slot["version"] else slot["image"]
        typer.echo(f" {mark} {slot['slot']:6} {slot['state']:15} {what}  {slot['length']} of {slot['size']} bytes")
    entries = ", ".join(
        "empty" if e["seq"] == 0xFFFFFFFF else f"{e['seq']} {e['state']}" for e in report["otadata"]["entries"]
    )
    typer.echo(f"   otadata: {entries}; active: {report['otadata']['active']}")
    typer.echo(
        f"   boots {report['boots']}, flash operations {report['flash_operations']}, "
        f"programs against NOR rules {report['violations']}"
    )
    typer.echo("   wear: partition        erases  worst sector  programs")
    for row in report["wear"]:
        typer.echo(f"         {row['partition']:14} {row['erases']:8} {row['worst_sector']:13} {row['programs']:9}")


def _slot(board: VirtualBoard, text: str) -> int | None:
    if not text:
        return None
    slots = board.table.ota_slots
    if text == "running":
        at = st.get(board.flash.state, st.RUNNING)
        for number, part in enumerate(slots):
            if part.offset == at:
                return number
        raise SetupError("the board has never booted")
    if not text.isdigit() or int(text) >= len(slots):
        raise HostError(f"no slot {text!r}: there are 0 to {len(slots) - 1}, and running")
    return int(text)


def _cut(text: str) -> tuple[int, str]:
    number, _, phase = text.partition(":")
    if not number.isdigit() or int(number) < 1 or (phase or "before") not in nor.PHASES:
        raise HostError(f"--cut {text!r} is not like 17 or 17:mid ({', '.join(nor.PHASES)})")
    return int(number), phase or "before"


def _size(text: str) -> int | None:
    if not text:
        return None
    factor = {"k": 1024, "m": 1024 * 1024}.get(text[-1].lower(), 1)
    digits = text if factor == 1 else text[:-1]
    if not digits.isdigit():
        raise HostError(f"heap {text!r} is not like 192k")
    return int(digits) * factor


flash.add_to(app)
