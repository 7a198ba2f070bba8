"""otadata as the boot loader writes it, read through its partition."""

import fake_esp32
from fake_esp32 import ABORTED, INVALID, NEW, PENDING, VALID
from fwnode.update import otadata
from fwnode.update.slots import Slots


def states(entries):
    """(state of ota_0, state of ota_1, board) with `entries` written, None for an erased sector."""
    board = fake_esp32.Board()
    for sector, entry in enumerate(entries):
        if entry:
            board.put_entry(sector, *entry)
    slots = Slots(board.Partition)
    return otadata.state(slots, slots.running), otadata.state(slots, slots.target), board, slots


def test_states():
    assert (NEW, PENDING, VALID, INVALID, ABORTED) == (
        otadata.NEW,
        otadata.PENDING,
        otadata.VALID,
        otadata.INVALID,
        otadata.ABORTED,
    )
    assert states((None, None))[:2] == (None, None)
    assert states(((1, VALID), (2, PENDING)))[:2] == (VALID, PENDING)
    assert states(((4, NEW), (3, VALID)))[:2] == (VALID, NEW)
    assert states(((0xFFFFFFF0, ABORTED), (0xFFFFFFEF, VALID)))[:2] == (VALID, ABORTED)


def test_the_newest_entry_of_a_slot_counts():
    assert states(((2, VALID), (4, ABORTED)))[:2] == (None, ABORTED)
    assert states(((4, VALID), (2, ABORTED)))[:2] == (None, VALID)


def test_damaged_entry_is_none():
    board = states(((1, VALID), (2, ABORTED)))[2]
    slots = Slots(board.Partition)
    board.flash["otadata"][4096 + 28] ^= 1
    assert otadata.state(slots, slots.target) is None
    board.flash["otadata"][0] = 3
    assert otadata.state(slots, slots.running) is None


def test_no_otadata():
    _, _, board, slots = states(((1, VALID), (2, ABORTED)))
    target = slots.target
    del board.flash["otadata"]
    assert otadata.state(slots, target) is None
    otadata.clear_aborted(slots, target)


def test_only_the_failed_entries_of_that_slot_are_cleared():
    for state in (ABORTED, INVALID):
        _, _, board, slots = states(((1, VALID), (2, state)))
        otadata.clear_aborted(slots, slots.running)
        assert board.entries() == [(1, VALID), (2, state)]
        otadata.clear_aborted(slots, slots.target)
        assert board.entries() == [(1, VALID), None]
    for state in (NEW, PENDING, VALID):
        _, _, board, slots = states(((1, VALID), (2, state)))
        otadata.clear_aborted(slots, slots.target)
        assert board.entries() == [(1, VALID), (2, state)]
