"""The folder switch of a board whose releases are files alone: what otadata is to a slot (see `device/boot.py`).

NVS "fold": state, tries left, 8 bytes of the newest release's verifier, 8 of the one's before it. `boot.py` acts
on it at each boot and has done so before any of this runs; so NEW here means that it does not run at all.
"""

from fwnode.compat import const
from fwnode.update.otadata import ABORTED, NEW, PENDING, VALID
from fwnode.update.stream import folder_of

_TRIES = const(2)  # boots of a trial


def active(keys, root: str) -> str:  # type: ignore[no-untyped-def]
    """The folder that runs; `root` itself for the files that were deployed by cable."""
    return _path(_running(keys.get("fold")), root)


def _running(record: bytes) -> bytes:
    return record[2:10] if record[0] in (PENDING, VALID) else record[10:18]


def _path(name: bytes, root: str) -> str:
    return folder_of(name, root) if any(name) else root


def state(keys, place: str):  # type: ignore[no-untyped-def]
    """The state of the switch to the folder `place`, None when it was never switched to."""
    record = keys.get("fold")
    if record and any(record[2:10]) and place.endswith("/" + record[2:10].hex()):
        return record[0]
    return None


def mark_valid(keys) -> None:  # type: ignore[no-untyped-def]
    """The trial passed."""
    _set_state(keys, PENDING, VALID)


def abort(keys) -> None:  # type: ignore[no-untyped-def]
    """The trial did not pass: `boot.py` takes the folder before at the next boot."""
    _set_state(keys, PENDING, ABORTED)


def _set_state(keys, old: int, new: int) -> None:  # type: ignore[no-untyped-def]
    record = keys.get("fold")
    if record and record[0] == old:
        keys.put("fold", bytes([new]) + record[1:])


def switch(boot, release) -> None:  # type: ignore[no-untyped-def]
    """Run the folder of `release`, all of which is there, from the next boot on.

    First the trace of an older failed trial goes (nothing of what runs changes by it), then `pend`, then the one
    entry that switches. A release that was repaired where it runs needs no switch.
    """
    from fwnode.update import trial

    keys = boot.keys
    running = _running(keys.get("fold"))
    name = release.verifier[:8]
    place = folder_of(release.verifier, boot.root).encode()
    if name == running:
        trial.settle(boot, trial.record_of(place, release))
        return
    keys.put("fold", bytes([VALID, 0]) + running + running)
    trial.arm(boot, place, release)
    keys.put("fold", bytes([NEW, _TRIES]) + name + running)
