"""`python -m fwchain.demo [--keep] [FOLDER]`: exit code 0 only when each step was observed."""

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

from fwchain.demo.processes import interruptible, undisturbed
from fwchain.demo.screen import Screen
from fwchain.demo.story import BOARDS, Story
from fwchain.errors import EXIT_FAILED, EXIT_INTERRUPTED, HostError, SetupError, sentence
from fwnode.errors import FwError

DEFAULT = Path("build/demo")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="fwchain.demo", description="A network whose boards update themselves.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT, help=f"where (default: {DEFAULT})")
    parser.add_argument("--keep", action="store_true", help="leave the network running until Ctrl-C")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    folder: Path = options.folder
    try:
        if folder.exists() and not folder.is_dir():
            raise SetupError(f"{folder} is no folder: give another")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{folder}.lock").open("w") as lock:
            _take(folder, lock)
            return _run(folder, options.keep, console)
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


def _run(folder: Path, keep: bool, console: Console) -> int:
    story = Story(folder, Screen(console, BOARDS))
    with interruptible():
        try:
            story.run()
            story.screen.table()
            if keep:
                _look_around(story, console)
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
                story.stop()
    return 0


def _look_around(story: Story, console: Console) -> None:
    """Say what there is to see, and wait for Ctrl-C."""
    place = story.place
    fwchain = os.path.relpath(Path(sys.executable).with_name("fwchain"))
    console.print(f"\n[bold]The network goes on. In a browser: {story.network.config.url}/[/]", highlight=False)
    console.print("In another terminal, in this folder:")
    for command, what in (
        (f"tail -f {place}/events.jsonl", "what the verification node does"),
        (f"tail -f {story.folder}/trace.txt", "each message with its fields"),
        (f"tail -f {story.folder}/board-2/console.log", "what a board prints"),
        (f"{fwchain} board flip {story.folder}/board-2 --slot running", "damage its firmware, and watch it"),
        (f"{fwchain} board status {story.folder}/board-2", "its slots"),
        (f"{fwchain} board reset {story.folder}/board-3", "its reset button"),
        (f"{fwchain} chain show {place}", "what the chain tells of it"),
    ):
        console.print(f"  {command:<62}  # {what}", highlight=False, soft_wrap=True, markup=False)
    console.print("Ctrl-C here ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("\nending every process")


if __name__ == "__main__":
    sys.exit(main())
