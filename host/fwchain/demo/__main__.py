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

from rich.console import Console

from fwchain.demo.processes import interruptible, undisturbed
from fwchain.demo.screen import Screen
from fwchain.demo.story import BOARDS, Story
from fwchain.errors import EXIT_FAILED, EXIT_INTERRUPTED
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"[red]a demo is running in {folder} already[/]")
            return EXIT_FAILED
        if folder.exists() and any(folder.iterdir()) and not (folder / "network").exists():
            console.print(f"[red]{folder} holds something else than an earlier demo: give another folder[/]")
            return EXIT_FAILED
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return _run(folder, options.keep, console)


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
            console.print(f"\n[bold red]not observed:[/] {error}", highlight=False)
            console.print(f"logs: {folder}/node.log, {folder}/trace.txt, {folder}/board-*/console.log")
            return EXIT_FAILED
        finally:
            with undisturbed():
                story.stop()
    return 0


def _look_around(story: Story, console: Console) -> None:
    """Say what there is to see, and wait for Ctrl-C."""
    place = story.place
    bin_ = Path(sys.executable).parent
    console.print("\n[bold]The network goes on. In another terminal:[/]")
    for line in (
        f"curl {story.network.config.url}/                 the dashboard, also in a browser",
        f"tail -f {place}/events.jsonl        what the verification node does",
        f"tail -f {story.folder}/trace.txt                 each message with its fields",
        f"tail -f {story.folder}/board-1/console.log       what a board prints",
        f"{bin_}/fwchain board status {story.folder}/board-1",
        f"{bin_}/fwchain board flip {story.folder}/board-2 0x100000 --slot running    damage a board, and watch it",
        f"{bin_}/fwchain board reset {story.folder}/board-3",
        f"{bin_}/fwchain chain show {place}",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("\nending every process")


if __name__ == "__main__":
    sys.exit(main())
