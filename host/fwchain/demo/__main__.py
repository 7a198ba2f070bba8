"""`python -m fwchain.demo [--c2] [--keep] [FOLDER]`: exit code 0 only when each step was observed."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import IO

from rich.console import Console

from fwchain.demo import c2, story
from fwchain.demo.processes import interruptible, undisturbed
from fwchain.demo.screen import Screen
from fwchain.demo.stage import Stage
from fwchain.errors import EXIT_FAILED, EXIT_INTERRUPTED, HostError, SetupError, sentence
from fwnode.errors import FwError

DEFAULT = Path("build/demo")
DEFAULT_C2 = Path("build/demo-c2")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="fwchain.demo", description="A network whose boards update themselves.")
    parser.add_argument("folder", nargs="?", type=Path, help=f"where (default: {DEFAULT}, or {DEFAULT_C2})")
    parser.add_argument("--c2", action="store_true", help="the fleet without a verification node, step by step")
    parser.add_argument("--keep", action="store_true", help="leave the network running until Ctrl-C")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    folder: Path = options.folder or (DEFAULT_C2 if options.c2 else DEFAULT)
    try:
        if folder.exists() and not folder.is_dir():
            raise SetupError(f"{folder} is no folder: give another")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{folder}.lock").open("w") as lock:
            _take(folder, lock)
            return _run(_stage(folder, options.c2, console), options.keep, console)
    except (HostError, OSError) as error:
        console.print(f"[red]{sentence(error)}[/]", highlight=False)
        return EXIT_FAILED


def _take(folder: Path, lock: IO[str]) -> None:
    """Make `folder` anew for this demo alone; raises SetupError, or OSError."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SetupError(f"a demo is running in {folder} already") from None
    if folder.exists() and any(folder.iterdir()) and not (folder / "network").exists():
        raise SetupError(f"{folder} holds something else than an earlier demo: give another folder")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()


def _stage(folder: Path, is_c2: bool, console: Console) -> Stage:
    if is_c2:
        return c2.C2Story(folder, Screen(console, c2.BOARDS + c2.HOSTS, c2.STEPS, columns=False))
    return story.Story(folder, Screen(console, story.BOARDS, story.STEPS))


def _run(stage: Stage, keep: bool, console: Console) -> int:
    folder = stage.folder
    with interruptible():
        try:
            stage.run()
            stage.screen.table()
            if keep:
                _look_around(stage, console)
        except KeyboardInterrupt:
            console.print("\n[yellow]interrupted: ending every process[/]")
            return EXIT_INTERRUPTED
        except (FwError, OSError) as error:
            if os.environ.get("FWCHAIN_DEBUG"):
                traceback.print_exc()
            console.print(f"\n[bold red]not observed:[/] {sentence(error)}", highlight=False)
            console.print(f"logs: {folder}/node.log, {folder}/trace.txt, {folder}/board-*/console.log")
            return EXIT_FAILED
        finally:
            with undisturbed():
                stage.stop()
    return 0


def _look_around(stage: Stage, console: Console) -> None:
    """Say what there is to see, and wait for Ctrl-C."""
    fwchain = os.path.relpath(Path(sys.executable).with_name("fwchain"))
    console.print(f"\n[bold]The network goes on. In a browser: {stage.network.config.url}/[/]", highlight=False)
    console.print("In another terminal, in this folder:")
    for command, what in stage.hints():
        if command.startswith("fwchain "):
            command = command.replace("fwchain", fwchain, 1)
        console.print(f"  {command:<62}  # {what}", highlight=False, soft_wrap=True, markup=False)
    console.print("Ctrl-C here ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("\nending every process")


if __name__ == "__main__":
    sys.exit(main())
