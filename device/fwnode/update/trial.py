"""The life of a release on this board: armed, on trial, confirmed or rolled back.

Each step is one atomic write; the last column says what a power cut before its end leaves.

====  =============================================  ====================================================
step  what is written                                a cut before its end
====  =============================================  ====================================================
1     file ``pending.m`` (M), before any erase       nothing begun
2     the target slot, sector by sector              the old release boots; what is there is hashed, kept
3     NVS ``pend``, stage _ARMED                      as 2: all is there, `finish` runs again
4     otadata, by ``set_boot`` (or NVS ``fold``)     the old release boots, otadata tells of no trial: as 3
5     the boot loader turns NEW into PENDING         a damaged entry: the old release boots, as 3
6     ``pend`` stage _BOOTED, first thing in a boot   still a trial; the next reset rolls it back
7     ``mark_app_valid_cancel_rollback``             rolled back, blamed on power: tried again later
8     ``old`` and ``run``                            otadata is VALID, ``pend`` _BOOTED: 8 to 12 run again
9     ``floor``                                      as 8
10    ``pending.m`` renamed ``running.m``            as 8
11    failures forgotten, old folders removed        as 8
12    ``pend`` dropped                               as 8
====  =============================================  ====================================================

A release of path files alone has a folder for its slot, and the record ``fold`` with `device/boot.py` for otadata
and boot loader (`folders`); its steps are the same.

Rolled back (the old release runs though ``pend`` is _ARMED or _BOOTED): the failure is noted by setting numbers,
not by adding to them, then ``pend`` becomes FAILED, which stays until the outcome was told.
"""

import os

from fwnode.compat import const
from fwnode.errors import FwError
from fwnode.trust.version import parse as version_key
from fwnode.update import ImageError, UpdateError, otadata
from fwnode.update.boot import PENDING_M, RUNNING_M
from fwnode.update.failures import Failures
from fwnode.update.files import remove_tree
from fwnode.update.stream import Stream, folder_of

_ARMED = const(1)
_BOOTED = const(2)
FAILED = const(3)
_MAX_ARMED = const(4)  # switches that came to nothing without a trace, until that counts as a failure


def check(boot):  # type: ignore[no-untyped-def]
    """Steps: what runs, and what became of the last installation."""
    pend = boot.keys.record("pend")
    places = [boot.place.encode()]
    if boot.keys.get("fold"):
        from fwnode.update import folders

        places.insert(0, folders.active(boot.keys, boot.root).encode())
    active = pend if pend and pend["s"] != FAILED else None
    here = active is not None and active["p"] in places
    yield from _find(boot, places, active if here else None)
    if boot.record:
        boot.place = boot.record["p"].decode()
    if here and boot.record is active:
        _booted(boot, active)
    elif otadata.state(boot.slots, boot.slots.running) in (otadata.NEW, otadata.PENDING):
        boot.trial = True  # installed by other means; it waits for a confirmation all the same
    elif active is not None and not here:
        _not_booted(boot, active)
    elif pend and pend["s"] == FAILED:
        boot.outcome = _rolled_back(pend)


def _find(boot, places: list, active):  # type: ignore[no-untyped-def]
    """Steps: the first record of one of these places (the slot, the folder) that the computed verifier agrees with.

    When none does, the M that provisioning left is believed where the verifier agrees; when that does not
    either, the first record tells what should run, and `genuine` stays false.
    """
    found = [active] if active else []
    for name in ("run", "old"):
        record = boot.keys.record(name)
        if record and record["p"] in places:
            found.append(record)
    first = None
    for record in found:
        use(boot, record, release_of(boot, record))
        if (yield from boot.verify()):
            return
        first = first or (record, boot.release, boot.verifier)
    release = read_release(boot, RUNNING_M)
    if release is not None and not below_floor(boot.keys, release.epoch, release.version_key):
        use(boot, record_of(places[-1] if release.slot_size else places[0], release), release)
        if (yield from boot.verify()):
            raise_floor(boot.keys, boot.record)  # first: a cut before the next line comes here again
            boot.keys.put_record("run", boot.record)
            return
    if first:
        use(boot, first[0], first[1])
        boot.verifier = first[2]
    else:
        use(boot, None, None)
        yield from boot.verify()


def use(boot, record, release) -> None:  # type: ignore[no-untyped-def]
    """Take `record` for what runs, laid out as `release` says (None: the slot's image alone)."""
    boot.record = record
    boot.release = release
    if release is None:
        boot.stream = ImageStream(boot.slots.running)
    else:
        boot.stream = Stream(release, boot.slots.running, boot.root)


class ImageStream:
    """A slot's image alone, for when no M tells more; the whole slot when it holds no image any more."""

    def __init__(self, slot) -> None:  # type: ignore[no-untyped-def]
        self.readinto = slot.readinto
        try:
            self.size = slot.image_length
        except ImageError:
            self.size = slot.size


def update_only(boot) -> bool:  # type: ignore[no-untyped-def]
    """What runs is below the floor, or there is a floor and nothing is known of what runs."""
    record = boot.record
    if record is None:
        return boot.keys.record("floor") is not None
    return below_floor(boot.keys, record["e"], version_key(record["v"])) is not None


def below_floor(keys, epoch: int, key: tuple):  # type: ignore[no-untyped-def]
    """None, "epoch" or "version": what is below the floor."""
    floor = keys.record("floor")
    if floor is not None:
        if epoch < floor["e"]:
            return "epoch"
        if key < version_key(floor["v"]):
            return "version"
    return None


def read_release(boot, name: str):  # type: ignore[no-untyped-def]
    """The Contents of an M in a file; None when there is none or it is malformed."""
    from fwnode.trust.contents import Contents
    from fwnode.trust.release import Release

    try:
        raw = boot.files.read(name)
        if not raw:
            return None
        release = Contents(Release(raw))
    except FwError:
        return None
    # the file has both; who seeds needs neither
    release.metainfo = release.pieces = b""  # type: ignore[attr-defined]
    return release


def release_of(boot, record: dict):  # type: ignore[no-untyped-def]
    """The Release that the record names, None when neither file holds its M."""
    for name in (PENDING_M, RUNNING_M):
        release = read_release(boot, name)
        if release is not None and release.verifier == record["h"]:
            return release
    return None


def record_of(place: bytes, release) -> dict:  # type: ignore[no-untyped-def]
    """What is remembered of a release in its place (a slot's label)."""
    return {
        "p": place,
        "h": release.verifier,
        "e": release.epoch,
        "v": release.version.encode(),
    }


def arm(boot, place: bytes, release) -> None:  # type: ignore[no-untyped-def]
    """Step 3: remember that the release is in its place and about to be switched to."""
    row = Failures(boot.keys).find(release.verifier)
    last = boot.keys.record("pend")
    pend = record_of(place, release)
    pend["s"] = _ARMED
    pend["w"] = b""  # why it failed
    pend["n"] = row[1] + 1  # the number of this try
    pend["c"] = row[2]  # crashes before
    pend["a"] = 1  # times armed in this try
    if last and last["h"] == release.verifier and last["s"] == _ARMED:
        pend["a"] += last["a"]
    boot.keys.put_record("pend", pend)


def _booted(boot, pend: dict) -> None:  # type: ignore[no-untyped-def]
    boot.trial = True
    if pend["s"] == _ARMED:
        pend["s"] = _BOOTED
        boot.keys.put_record("pend", pend)
    elif _state(boot, pend) == otadata.VALID:
        settle(boot, pend)  # a cut fell between the confirmation and what follows from it


def confirm(boot) -> None:  # type: ignore[no-untyped-def]
    """Steps 7 to 12; raises UpdateError when the slot does not hold what was installed."""
    if boot.record and not boot.genuine:
        raise UpdateError("trial: the verifier differs from the installed one")
    if boot.place[0] == "/":
        from fwnode.update import folders

        folders.mark_valid(boot.keys)
    else:
        boot.slots.mark_valid()
    if boot.record and "s" in boot.record:
        settle(boot, boot.record)
    boot.trial = False


def fail(boot, reason: str) -> None:  # type: ignore[no-untyped-def]
    """Write why the trial fails, for the boot that follows."""
    boot.record["w"] = reason.encode()
    boot.keys.put_record("pend", boot.record)
    if boot.place[0] == "/":
        from fwnode.update import folders

        folders.abort(boot.keys)


def _state(boot, pend: dict):  # type: ignore[no-untyped-def]
    """How the switch to the place of `pend` went, in otadata's words; None when it tells nothing."""
    place = pend["p"].decode()
    if place[0] == "/":
        from fwnode.update import folders

        return folders.state(boot.keys, place)
    for view in (boot.slots.running, boot.slots.target):
        if view.label == place:
            return otadata.state(boot.slots, view)
    return None


def settle(boot, pend: dict) -> None:  # type: ignore[no-untyped-def]
    """Steps 8 to 12, as often as a power cut wants them."""
    keys = boot.keys
    record = {}
    for key in ("p", "h", "e", "v"):
        record[key] = pend[key]
    run = keys.record("run")
    if run and run["p"] != record["p"]:
        keys.put_record("old", run)
    keys.put_record("run", record)
    raise_floor(keys, record)
    boot.files.rename(PENDING_M, RUNNING_M)
    Failures(keys).forget(record["h"])
    clean(boot, [record["h"]])
    keys.drop("pend")
    boot.record = record
    boot.trial = False
    boot.outcome = ("updated", record["v"].decode(), "")


def raise_floor(keys, record: dict) -> None:  # type: ignore[no-untyped-def]
    """From now on nothing older than `record` is installed."""
    floor = keys.record("floor") or {"e": 0, "v": b"0.0.0"}
    if version_key(record["v"]) > version_key(floor["v"]):
        floor["v"] = record["v"]
    floor["e"] = max(floor["e"], record["e"])
    keys.put_record("floor", floor)


def _not_booted(boot, pend: dict) -> None:  # type: ignore[no-untyped-def]
    """The installed release does not run: rolled back, not startable, or never switched to."""
    state = _state(boot, pend)
    reason = pend["w"].decode()
    if pend["s"] == _BOOTED or state in (otadata.ABORTED, otadata.INVALID):
        reason = reason or ("power" if _lost_power(boot) else "crash")
    elif state in (otadata.NEW, otadata.PENDING) or pend["a"] >= _MAX_ARMED:
        reason = "image"  # the boot loader did not start what had been verified: flash or power
    else:
        return  # cut before the switch
    failures = Failures(boot.keys)
    failures.record(pend["h"], pend["n"], pend["c"] + int(reason == "crash"), reason == "check")
    boot.files.remove(PENDING_M)
    if boot.genuine:
        clean(boot, [boot.record["h"]])
    pend["s"] = FAILED
    pend["w"] = reason.encode()
    boot.keys.put_record("pend", pend)
    boot.outcome = _rolled_back(pend)


def _lost_power(boot) -> bool:  # type: ignore[no-untyped-def]
    if boot.power_lost is None:
        import machine

        boot.power_lost = machine.reset_cause() in (machine.PWRON_RESET, machine.HARD_RESET)
    return boot.power_lost


def told(boot) -> None:  # type: ignore[no-untyped-def]
    """Forget the failure that was reported."""
    pend = boot.keys.record("pend")
    if pend and pend["s"] == FAILED:
        boot.keys.drop("pend")


def clean(boot, keep: list) -> None:  # type: ignore[no-untyped-def]
    """Remove all folders of path files but those of the verifiers in `keep`."""
    try:
        names = os.listdir(boot.root)
    except OSError:
        return
    folders = [folder_of(verifier, boot.root) for verifier in keep]
    for name in names:
        path = boot.root + "/" + name
        if path not in folders:
            remove_tree(path)


def _rolled_back(pend: dict) -> tuple:
    return "rolled_back", pend["v"].decode(), pend["w"].decode()
