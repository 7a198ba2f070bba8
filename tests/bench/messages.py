"""Count the messages of C1-1, C1-2, C2-1, C2-2 and C2-3 on the wire, with virtual boards and a verification node.

    python tests/bench/messages.py [--write]

Prints the table of docs/protocol.md; `--write` puts it there. It runs in a network namespace of its own, in which it
may read packets and where nobody else speaks (Linux, `unshare` with user namespaces or root, iproute2).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DOC = ROOT / "docs" / "protocol.md"
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from update_support import Fleet, Update  # noqa: E402
from wire_tap import Tap, Wire  # noqa: E402

from fwchain.board.virtual import VirtualBoard  # noqa: E402
from fwnode.errors import FwError  # noqa: E402
from fwnode.wire import message  # noqa: E402

CASES = ("C1-1", "C1-2", "C2-1", "C2-2", "C2-3")
HEAD = ("case", "messages", "kinds, and how often", "bytes of the messages", "bytes on the wire", "datagrams", "posts")
BEGIN, END = "<!-- messages: made by `make bench-messages` -->\n", "<!-- end of messages -->\n"
CONFIRMING = 7  # more than six
INSIDE = "FWCHAIN_BENCH_NAMESPACE"
TRIES = 5
SOON_S, NEVER_S = 0.2, 60.0  # of quiet while: who answers a request, and who does not get to it
ANSWER_S = 120.0


@dataclass
class Row:
    """What one exchange cost."""

    case: str
    kinds: Counter[str] = field(default_factory=Counter)
    size: int = 0  # of each message once
    wire: int = 0  # IP packets: repetitions, HTTP and TCP with them
    datagrams: int = 0
    posts: int = 0

    def cells(self) -> tuple[str, ...]:
        """As the table has them."""
        kinds = ", ".join(f"{kind} {count}" if count > 1 else kind for kind, count in self.kinds.items())
        numbers = (f"{number:,}" for number in (self.size, self.wire, self.datagrams, self.posts))
        return self.case, str(self.kinds.total()), kinds, *numbers


@dataclass
class Seen:
    """One carriage of messages: a datagram with one, or a POST with one and perhaps an answer."""

    at: int
    source: str
    messages: list[bytes]
    wire: int
    multicast: bool


def carried(wire: Wire, group: str) -> list[Seen]:
    """Everything that carried messages, in order."""
    found = [Seen(one.at, one.source[0], [one.data], one.wire, True) for one in wire.datagrams if one.to[0] == group]
    for one in wire.connections:
        if one.sent.startswith(b"POST /fwchain "):
            bodies = [bytes(half.partition(b"\r\n\r\n")[2]) for half in (one.sent, one.answered)]
            found.append(Seen(one.at, one.source[0], [body for body in bodies if body], one.wire, False))
    return sorted(found, key=lambda one: one.at)


def parsed(data: bytes) -> dict[str, bytes]:
    """The message, {} for what is none (a verification node's "malformed" and the like)."""
    try:
        found: dict[str, bytes] = message.parse(data)
        return found
    except FwError:
        return {}


def exchange(case: str, wire: Wire, group: str, asker: str, node: bytes) -> Row:
    """The row of the first request of the board at `asker`: all that names it, or a fellow that answers it; `node` is
    the verification node's ID, which stands in every exchange with it.
    """
    seen = carried(wire, group)
    told = [(one.source, parsed(data)) for one in seen for data in one.messages]
    ids = {next(one["from"] for source, one in told if source == asker and one.get("t") == b"req_verchk")}
    for _, one in told:
        if one.get("t") != b"block" and ids & {one.get("to"), one.get("id")}:
            ids |= {one["from"]} - {node}
    return _row(case, seen, ids)


def _row(case: str, seen: list[Seen], ids: set[bytes]) -> Row:
    row = Row(case)
    counted = set()
    for one in seen:
        ours = [data for data in one.messages if ids & {parsed(data).get(name) for name in ("from", "to", "id", "req")}]
        if not ours:
            continue
        row.wire += one.wire
        row.datagrams += one.multicast
        row.posts += not one.multicast
        for data in ours:
            if data not in counted:
                counted.add(data)
                row.kinds[message.kind_of(parsed(data))] += 1
                row.size += len(data)
    return row


class Bench:
    """The boards, and the runs of the five cases."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder = folder
        self.fleet = fleet
        self.group = fleet.network.config["lan"]["group"]
        self.node = message.key_id(fleet.network.root.nodes[0])
        self.old = fleet.release("1.0.0")
        self.new = fleet.release("1.1.0", size=100_000)

    def board(self, running: Update, name: str, quiet_s: float) -> VirtualBoard:
        """A board that checks when it boots, and not again for an hour."""
        return self.fleet.board(running, name, check_s=3600, retry_s=3600, quiet_s=quiet_s)

    def run(self) -> list[Row]:
        """All five, with one set of boards."""
        fleet = self.fleet
        fleet.publish(self.old)
        with Tap() as tap:
            asker = self.board(self.old, "asker", SOON_S)
            fleet.wait(asker, "current", case="C1-1")
        rows = {"C1-1": exchange("C1-1", tap.wire, self.group, asker.ip, self.node)}
        answerer = self.board(self.old, "answerer", SOON_S)
        others = [self.board(self.old, f"confirming-{number}", NEVER_S) for number in range(CONFIRMING)]
        for board in (answerer, *others):
            fleet.wait(board, "current", case="C1-1", timeout=ANSWER_S)
        fleet.kill_node()
        rows["C2-2"] = self.again("C2-2", asker, None, "current", case="C2-2")
        for board in others:
            board.stop()
        fleet.serve()
        fleet.publish(self.new)
        rows["C1-2"] = self.again("C1-2", asker, None, "updated", version="1.1.0")
        fleet.kill_node()
        rows["C2-3"] = self.again("C2-3", answerer, None, "updated", version="1.1.0")
        for board in (answerer, asker):
            board.stop()
        older = self.board(self.old, "older", SOON_S)
        fleet.wait(older, "unanswered", timeout=ANSWER_S)
        rows["C2-1"] = self.again("C2-1", asker, older, "ahead", case="C2-1")
        return [rows[case] for case in CASES]

    def again(self, name: str, asker: VirtualBoard, until: VirtualBoard | None, event: str, **facts: str) -> Row:
        """Reset the asker until the exchange ends with `event`, and `until` has updated: a machine may be slow."""
        for _ in range(TRIES):
            with Tap() as tap:
                if asker.running:
                    asker.reset()
                else:
                    asker.start()
                self.fleet.wait(asker, "checking", timeout=ANSWER_S)
                found = self.fleet.wait(asker, event, "unanswered", timeout=ANSWER_S)
                if found["event"] != event or any(found.get(key) != value for key, value in facts.items()):
                    continue
                if until is not None:
                    self.fleet.wait(until, "updated", timeout=ANSWER_S)
                time.sleep(1)  # the last log's repetitions
            return exchange(name, tap.wire, self.group, asker.ip, self.node)
        raise SystemExit(f"{name}: {TRIES} exchanges did not end with {event}")


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def written(text: str, made: str) -> str:
    """The page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + made + END + after


def alone() -> int:
    """Run this command again in a network namespace of its own."""
    script = 'ip link set lo up && exec "$@"'
    command = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c", script, "sh"]
    environment = {**os.environ, INSIDE: "1"}
    done = subprocess.run([*command, sys.executable, __file__, *sys.argv[1:]], env=environment, check=False)
    if done.returncode and subprocess.run([*command, "true"], check=False).returncode:
        print("this needs a network namespace of its own: Linux, `unshare -rn` allowed, iproute2", file=sys.stderr)
    return done.returncode


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="put the table into docs/protocol.md")
    given = options.parse_args()
    if INSIDE not in os.environ:
        return alone()
    with tempfile.TemporaryDirectory() as name, Fleet(Path(name), confirmations=CONFIRMING) as fleet:
        made = table(Bench(Path(name), fleet).run())
    print(made, end="")
    if given.write:
        DOC.write_text(written(DOC.read_text(), made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
