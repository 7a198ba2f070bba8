"""The event log: lines are whole, readers go on where they stopped."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

from fwchain import events


def test_a_line_is_one_object(tmp_path: Path) -> None:
    log = events.Log(tmp_path / "log", process="node")
    log.emit("published", version="1.1.0", info_hash=b"\x01\x02")
    (line,) = (tmp_path / "log").read_text().splitlines()
    event = json.loads(line)
    assert event.pop("ts") > 1_600_000_000
    assert event == {"event": "published", "process": "node", "version": "1.1.0", "info_hash": "0102"}


def test_a_reader_sees_each_event_once(tmp_path: Path) -> None:
    log = events.Log(tmp_path / "log")
    reader = events.Reader(tmp_path / "log")
    assert reader.read() == []
    log.emit("a")
    assert [event["event"] for event in reader.read()] == ["a"]
    log.emit("b")
    assert [event["event"] for event in reader.read()] == ["b"]


def test_a_half_written_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = events.Reader(path)
    path.write_text('{"event":')
    assert reader.read() == []
    with path.open("a") as file:
        file.write('"x"}\nnoise\n[1]\n{"no": 1}\n')
    assert reader.read() == [{"event": "x"}]


def test_follow_ends_and_misses_nothing(tmp_path: Path) -> None:
    log = events.Log(tmp_path / "log")
    log.emit("a")
    log.emit("b")
    assert [event["event"] for event in events.follow(tmp_path / "log", until=lambda: True)] == ["a", "b"]


def test_without_a_file_nothing_is_kept() -> None:
    assert events.Log(None).emit("x")["event"] == "x"


def _write(path: Path, name: str) -> None:
    log = events.Log(path)
    for number in range(200):
        log.emit(name, number=number, text="x" * 500)


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    found = events.read(path)
    for name in "ab":
        assert [event["number"] for event in found if event["event"] == name] == list(range(200))
