"""Two slots: another valid image boots, and goes back unless it is confirmed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hil_board import Board

from fwchain.flashing.respin import respin

NEW, PENDING, VALID, INVALID, ABORTED, UNSET = 0, 1, 2, 3, 4, 0xFFFFFFFF
OTHER = "1.0.99"
PARTS = "from esp32 import Partition\nrun = Partition(Partition.RUNNING)\nnext = run.get_next_update()\n"


@pytest.fixture(scope="module")
def slots(board: Board) -> Iterator[tuple[str, str]]:
    """(label that runs, label of the other), the other holding a second valid image; as before at the end."""
    address, length, label = board.ask(
        "[slot.address, slot.image_length, slot.label]",
        "from fwnode.update.slots import Slots\nslot = Slots().running",
    )
    other = next(part for part in board.table().ota_slots if part.name != label)
    board.write(other.offset, respin(board.read(address, length), OTHER))
    yield label, other.name
    boot(board, label)
    confirm(board)


def running(board: Board) -> str:
    """Label of the slot that runs."""
    return str(board.ask("run.info()[4]", PARTS))


def boot(board: Board, label: str) -> None:
    """Choose a slot and reset by the line."""
    board.run(f"from esp32 import Partition\nPartition.find(Partition.TYPE_APP, label='{label}')[0].set_boot()\n")
    board.reset()
    time.sleep(0.5)


def confirm(board: Board) -> None:
    """Cancel the rollback."""
    board.run("from esp32 import Partition\nPartition.mark_app_valid_cancel_rollback()\n")


def states(board: Board) -> list[tuple[int, int]]:
    """(sequence, state) of both otadata entries."""
    raw = board.read(board.table().otadata.offset, 0x2000)
    word = lambda at: int.from_bytes(raw[at : at + 4], "little")  # noqa: E731
    return [(word(0), word(24)), (word(0x1000), word(0x1018))]


def test_second_image_boots_and_goes_back_without_confirmation(board: Board, slots: tuple[str, str]) -> None:
    first, second = slots
    assert running(board) == first
    boot(board, second)
    assert running(board) == second
    version = board.ask("slot.app_version", "from fwnode.update.slots import Slots\nslot = Slots().running")
    assert version == OTHER
    board.reset()
    time.sleep(0.5)
    assert running(board) == first
    assert ABORTED in [state for _, state in states(board)]


def test_confirmed_image_stays(board: Board, slots: tuple[str, str]) -> None:
    first, second = slots
    boot(board, second)
    confirm(board)
    board.reset()
    time.sleep(0.5)
    assert running(board) == second
    assert max(states(board))[1] == VALID or VALID in [state for _, state in states(board)]
    boot(board, first)
    confirm(board)
    assert running(board) == first


def test_watchdog_rolls_back(board: Board, slots: tuple[str, str], figure: Any) -> None:
    """A new image that hangs is reset by the watchdog, and the boot loader goes back."""
    first, second = slots
    boot(board, second)
    assert running(board) == second
    board.run("import machine\nwdt = machine.WDT(timeout=2000)\n")
    start = time.monotonic()
    with board.listening() as console:
        console.wait_text(b"rst:", 20)
    figure("watchdog of 2,000 ms bit after, ms", round((time.monotonic() - start) * 1000))
    time.sleep(0.5)
    assert running(board) == first


def test_damaged_slot_is_refused_and_has_another_verifier(board: Board, slots: tuple[str, str]) -> None:
    """One bit of the other slot flipped, from the board itself: set_boot refuses it, the verifier differs."""
    verifier = (
        PARTS
        + "import binascii\nfrom fwnode.compat import run as go\nfrom fwnode.update.slots import SlotView\n"
        + "from fwnode.update.verify import verifier_steps\nview = SlotView(next)\n"
        + "def h():\n    return binascii.hexlify(go(verifier_steps(view, view.image_length))).decode()\n"
    )
    flip = "b = bytearray(4096)\nnext.readblocks(1, b)\nb[100] ^= 1\nnext.writeblocks(1, b)\n"
    before = board.ask("h()", verifier)
    after = board.ask("h()", verifier + flip)
    assert before != after
    code = board.ask("code", PARTS + "code = 0\ntry:\n    next.set_boot()\nexcept OSError as e:\n    code = e.args[0]")
    assert code == -5379
    board.reset()
    assert running(board) == slots[0]
    assert board.ask("h()", verifier + flip) == before
