"""The flash contents that a power cut can leave, from the notes of one run."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fwchain.board.flash import PowerCut
from fwchain.board.runtime.vb import flash as nor
from fwchain.board.runtime.vb import state as st

PHASES = ("mid", "bits", "after")  # "before" an operation is "after" the one before it


@dataclass(frozen=True)
class Operation:
    """One flash operation: a sector erase (no data) or a program."""

    offset: int
    data: bytes

    @property
    def kind(self) -> str:
        """erase or program."""
        return "program" if self.data else "erase"


@dataclass(frozen=True)
class Cut:
    """A cut at operation `number` (from 1; 0: before the first) in `phase`."""

    number: int
    phase: str

    def __str__(self) -> str:
        return f"{self.number}:{self.phase}"

    @classmethod
    def parse(cls, text: str) -> Cut:
        """Read "17:mid"; ValueError when it is not like that."""
        number, _, phase = text.partition(":")
        if phase not in PHASES:
            raise ValueError(f"{text!r} is not like 17:mid ({', '.join(PHASES)})")
        return cls(int(number), phase)

    def around(self, shift: int, operations: int) -> list[Cut]:
        """This cut; with a `shift`, those of so many operations before and after it as well, in each phase.

        None lies beyond the number of `operations`.
        """
        numbers = range(max(0, self.number - shift), min(self.number + shift, operations) + 1)
        if not shift:
            return [self] if self.number in numbers else []
        return [Cut(number, phase) for number in numbers for phase in PHASES if number or phase == "after"]


def read_journal(path: Path) -> list[Operation]:
    """The operations that were noted in a journal file."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        data = file.read(length)
    operations = []
    at = 0
    while at < length:
        offset, size = struct.unpack_from("<IH", data, at)
        at += 6
        operations.append(Operation(offset, data[at : at + size]))
        at += size
    return operations


def make_journal(path: Path, size: int = 64 << 20) -> None:
    """An empty journal; the file is sparse."""
    with path.open("wb") as file:
        file.truncate(size)


def all_cuts(operations: list[Operation], slots: range) -> list[Cut]:
    """Every cut of a run of `operations`, those outside the `slots` (addresses) first.

    In a slot a program is not cut in half of its bits: every byte there is hashed, so it differs in nothing from a
    program of which half the bytes are missing.
    """
    elsewhere, inside = [Cut(0, "after")], []
    for number, operation in enumerate(operations, 1):
        for phase in PHASES:
            if operation.offset not in slots:
                elsewhere.append(Cut(number, phase))
            elif phase != "bits" or not operation.data:
                inside.append(Cut(number, phase))
    return elsewhere + inside


def contents(start: bytes, operations: list[Operation], cuts: list[Cut]) -> Iterator[tuple[Cut, bytes]]:
    """The flash that each cut leaves, in the order of the operations; `start` is the flash before the first."""
    mem = bytearray(start)
    wanted: dict[int, list[Cut]] = {}
    for cut in cuts:
        wanted.setdefault(cut.number, []).append(cut)
    for cut in wanted.get(0, []):
        yield cut, bytes(mem)
    for number, operation in enumerate(operations, 1):
        for cut in wanted.get(number, []):
            if cut.phase != "after":
                yield cut, _apply(bytearray(mem), operation, cut.phase)
        mem = bytearray(_apply(mem, operation, None))
        for cut in wanted.get(number, []):
            if cut.phase == "after":
                yield cut, bytes(mem)


def _apply(mem: bytearray, operation: Operation, phase: str | None) -> bytes:
    state = bytearray(st.size(len(mem)))
    chip = nor.Nor(mem, state, _off)
    if phase is not None:
        st.put(state, st.CUT_AT, 1)
        st.put(state, st.CUT_PHASE, nor.PHASES.index(phase))
    try:
        if operation.data:
            chip.program(operation.offset, operation.data)
        else:
            chip.erase(operation.offset, nor.SECTOR)
    except PowerCut:
        pass
    return bytes(mem)


def _off() -> None:
    raise PowerCut
