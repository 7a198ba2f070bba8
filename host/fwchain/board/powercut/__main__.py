"""`python -m fwchain.board.powercut`: exit code 0 when every cut was survived."""

from __future__ import annotations

import argparse
import collections
import json
import os
import queue
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fwchain.board.flash import SECTOR
from fwchain.board.powercut.recovery import TIMEOUT_S, Bench, Outcome
from fwchain.board.powercut.scene import Scene
from fwchain.board.powercut.states import PHASES, Cut, all_cuts, contents
from fwchain.demo.processes import interruptible
from fwnode.errors import FwError

FULL_FILLER = 1_330_000
SMALL_FILLER = 40_000  # two pieces
LONG_FAILURES = 3  # are told with all that was seen, the others in a line
SHIFT = 4  # from one run of the update to the next an operation's number moves by so much at most
SECOND_WITHIN = 400  # a second cut strikes at one of so many operations after the first


def main(arguments: list[str] | None = None) -> int:
    """Run the cuts that were asked for."""
    parser = argparse.ArgumentParser(
        prog="fwchain.board.powercut", description="Cut the power at the flash operations of a whole update."
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many cuts, chosen at random; default: all")
    parser.add_argument("--full", action="store_true", help="an image of 1.4 MiB; implies --sample 60")
    parser.add_argument("--seed", type=int, help="of what is random; default: a new one, which is printed")
    parser.add_argument("--only", metavar="CUT", help="one cut, like 17:mid, or with the second one, 17:mid+5:bits")
    parser.add_argument(
        "--around", type=int, default=0, metavar="N", help="with --only: the N operations before and after it, too"
    )
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1), help="boards at a time")
    parser.add_argument("--seconds", type=float, default=24 * 60, help="begin no cut after so many seconds")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args(arguments)
    if options.full and not options.sample and not options.only:
        options.sample = 60
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    folder = Path(tempfile.mkdtemp(prefix="fwchain-powercut-"))
    with interruptible():
        try:
            return Run(folder, options).report()
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except FwError as error:
            print(f"powercut: {error}", file=sys.stderr)
            return 1
        finally:
            if options.keep:
                print(f"kept: {folder}", file=sys.stderr)
            else:
                shutil.rmtree(folder, ignore_errors=True)


class Run:
    """The scene, the cuts and their outcomes."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.options = options
        self.begun = time.monotonic()
        self.say(f"seed {options.seed}: an update with the power on …")
        self.scene = Scene(folder, FULL_FILLER if options.full else SMALL_FILLER)
        self.ready = time.monotonic()
        self.cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        self.outcomes: list[Outcome] = []
        self.skipped = 0
        self.benches: list[Bench] = []
        try:
            self._run()
        finally:
            for bench in self.benches:
                bench.close()
            self.cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - self.cpu
            self.scene.close()

    def say(self, text: str) -> None:
        """To standard error, so that --json stays clean."""
        print(text, file=sys.stderr, flush=True)

    def _cuts(self) -> list[tuple[Cut, tuple[int, str] | None]]:
        rng = random.Random(self.options.seed)
        if self.options.only:
            first, _, second = self.options.only.partition("+")
            again = Cut.parse(second) if second else None
            cuts = Cut.parse(first).around(self.options.around, len(self.scene.operations))
            return [(cut, (again.number, again.phase) if again else None) for cut in cuts]
        cuts = all_cuts(self.scene.operations, self.scene.slots)
        if self.options.sample and self.options.sample < len(cuts):
            cuts = rng.sample(cuts, self.options.sample)
        # what follows is cut, too: always where the cut struck what a boot reads and writes, else every third time
        return [
            (
                cut,
                (1 + int(rng.random() ** 3 * SECOND_WITHIN), rng.choice(PHASES))
                if not self._in_slot(cut) or rng.random() < 1 / 3
                else None,
            )
            for cut in cuts
        ]

    def _in_slot(self, cut: Cut) -> bool:
        """Whether the cut struck an operation in a slot."""
        return cut.number > 0 and self.scene.operations[cut.number - 1].offset in self.scene.slots

    def _run(self) -> None:
        scene = self.scene
        chosen = self._cuts()
        kinds = collections.Counter(operation.kind for operation in scene.operations)
        self.say(
            f"{len(scene.operations)} flash operations ({kinds['erase']} erases, {kinds['program']} programs) "
            f"in {scene.reference_s:.1f} s, image of {len(scene.new_image):,} bytes; {len(chosen)} cuts, "
            f"{self.options.workers} boards at a time"
        )
        if not chosen:
            raise FwError(f"there are {len(scene.operations)} operations")
        waiting: queue.Queue[tuple[Cut, bytes, tuple[int, str] | None] | None] = queue.Queue(self.options.workers)
        self.benches = [Bench(scene, number) for number in range(1, self.options.workers + 1)]
        threads = [threading.Thread(target=self._work, args=(bench, waiting), daemon=True) for bench in self.benches]
        for thread in threads:
            thread.start()
        seconds = dict(chosen)
        try:
            for cut, flash in self._flashes([cut for cut, _ in chosen]):
                if time.monotonic() - self.ready > self.options.seconds:
                    self.skipped += 1
                    continue
                while True:
                    try:
                        waiting.put((cut, flash, seconds[cut]), timeout=0.5)
                        break
                    except queue.Full:
                        scene.node.check()
        finally:
            for _ in threads:
                waiting.put(None)
            for thread in threads:
                thread.join(2 * TIMEOUT_S)

    def _flashes(self, cuts: list[Cut]) -> Iterator[tuple[Cut, bytes]]:
        """The flash of every cut; those outside the slots first, should the time not do for all."""
        scene = self.scene
        for wanted in (False, True):
            some = [cut for cut in cuts if wanted == self._in_slot(cut)]
            yield from contents(scene.start, scene.operations, some)

    def _work(self, bench: Bench, waiting: queue.Queue[tuple[Cut, bytes, tuple[int, str] | None] | None]) -> None:
        while (item := waiting.get()) is not None:
            cut, flash, second = item
            try:
                outcome = bench.run(cut, flash, second)
            except Exception as error:  # noqa: BLE001 - a cut that could not be judged is none that was survived
                outcome = Outcome(cut, second, problems=[f"not judged: {error!r}"])
            self.outcomes.append(outcome)
            if outcome.problems:
                text = "; ".join(outcome.problems)
                failures = sum(bool(o.problems) for o in self.outcomes)
                self.say(f"FAILED {self._name(outcome)}: {text if failures <= LONG_FAILURES else text.splitlines()[0]}")
                try:
                    self.scene.node.check()
                except FwError as error:
                    self.say(f"the verification node has ended: {error}")
                console = bench.board.folder / "console.log"
                if console.exists():
                    shutil.copy(console, console.with_name(f"console-{cut}.log"))
            elif len(self.outcomes) % 50 == 0:
                self.say(f"{len(self.outcomes)} cuts survived, {time.monotonic() - self.begun:.0f} s")

    @staticmethod
    def _name(outcome: Outcome) -> str:
        return f"{outcome.cut}" + (f"+{outcome.second[0]}:{outcome.second[1]}" if outcome.second else "")

    def report(self) -> int:
        """Print what was seen; returns the exit code."""
        failed = [outcome for outcome in self.outcomes if outcome.problems]
        rows = {
            "seed": self.options.seed,
            "image": len(self.scene.new_image),
            "operations": len(self.scene.operations),
            "erases": sum(operation.kind == "erase" for operation in self.scene.operations),
            "sectors": len({operation.offset // SECTOR for operation in self.scene.operations}),
            "runs": len(self.outcomes),
            "cuts": sum(outcome.cuts for outcome in self.outcomes),
            "boots": sum(outcome.boots for outcome in self.outcomes),
            "slowest recovery, s": round(max((o.seconds for o in self.outcomes), default=0), 1),
            "not begun for want of time": self.skipped,
            "failed": len(failed),
            "CPU seconds of boards": round(self.cpu, 1),
            "seconds": round(time.monotonic() - self.begun),
        }
        if self.options.json:
            print(json.dumps({**rows, "failures": [[self._name(o), o.problems] for o in failed]}))
        else:
            for name, value in rows.items():
                print(f"{name:28} {value:>12,}")
            for outcome in failed:
                full = " --full" if self.options.full else ""
                name = self._name(outcome)
                print(f"again: python -m fwchain.board.powercut{full} --only {name} --around {SHIFT}")
        return 1 if failed or not self.outcomes or (self.skipped and not self.options.sample) else 0


if __name__ == "__main__":
    sys.exit(main())
