"""`fwchain`: finds the command, and turns an error into one clear line and an exit code.

A group's module is imported when its command is called, and not before: `fwchain --help` stays quick, and a part
whose library is missing does not take the others with it. A module exports `app: typer.Typer`; an app of one
command becomes that command, an app of several becomes a group.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fwchain import __version__
from fwchain.errors import EXIT_CODES, EXIT_INTERRUPTED, HostError, sentence
from fwnode.errors import FwError

COMMANDS = {
    "init": "Make a network: keys, trust root, genesis, configuration.",
    "release": "Build, sign, show, publish and recall a firmware release.",
    "root": "Make, sign, show and publish the next trust root: new keys, retired and revoked ones.",
    "serve": "Run a verification node: exchange, tracker, seed, chain.",
    "board": "Make, run, flash and watch boards, virtual or real.",
    "chain": "Print and verify the chain.",
    "backup": "Write a network's keys and store into one file.",
    "restore": "Put a network back from such a file.",
    "node": "Run a normal node on this machine.",
    "tracker": "Run the BitTorrent tracker alone.",
    "simulate": "Simulate a fleet.",
}

EPILOG = "Exit codes: " + " · ".join(f"{code} {text}" for code, text in EXIT_CODES.items())


class LazyGroup(TyperGroup):
    """The root command, whose commands are known by name and loaded when called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        here = Path(__file__).parent
        for name, text in COMMANDS.items():
            there = (here / f"{name}.py").exists()
            self.add_command(TyperCommand(name, help=text, hidden=not there))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the stand-in of the command that is called by the real one."""
        name, found, rest = super().resolve_command(ctx, args)
        return (name, load(name), rest) if name in COMMANDS else (name, found, rest)


def load(name: str) -> Any:
    """The real command `name`; HostError says which library or part is missing."""
    module = f"fwchain.cli.{name}"
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise HostError(f"`fwchain {name}` is not part of version {__version__}") from None
        raise HostError(
            f"`fwchain {name}` needs the Python module {error.name}: install fwchain anew, with its dependencies"
        ) from error
    loaded.app._add_completion = False  # the root has it
    command = typer.main.get_command(loaded.app)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fwchain {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Boards that check and update their own firmware.

    Begin with `fwchain init NETWORK`, then `fwchain serve NETWORK`. FWCHAIN_DEBUG=1 shows where an error came from.
    """


def main(args: list[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    try:
        code = app(args=args, prog_name="fwchain", standalone_mode=True)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except FwError as error:
        return _fail(str(error), getattr(error, "exit_code", 1))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(sentence(error), 1)
    except Exception as error:
        if not type(error).__module__.startswith("fwchain."):
            raise
        return _fail(str(error), 1)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    if os.environ.get("FWCHAIN_DEBUG"):
        traceback.print_exc()
    typer.secho(f"fwchain: {message}", fg="red", err=True)
    return code


if __name__ == "__main__":
    main()
