"""Chooses the folder of the release to run, on a board whose releases are files alone (stock firmware).

This file is put on a board by cable (`make deploy`) and never updated over the air. It needs nothing of fwnode.

NVS "fwchain", key "fold", 18 bytes: state, tries left, folder of the newest release (8 bytes, shown as
16 hex digits), folder of the one before it. All zeros stand for the files that `make deploy` left.

    NEW      chosen, not yet booted               run the newest, it is PENDING from now on
    PENDING  booted, not confirmed                run the newest while tries are left, else ABORTED
    VALID    confirmed                            run the newest
    ABORTED  its trial failed                     run the one before

The record is one NVS entry, so a power cut leaves the old one or the new one. A trial has two boots, so that one
power cut does not end it.
"""

import os
import sys

NEW, PENDING, VALID, _, ABORTED = range(5)
ROOT = "/r/"


def choose(nvs, root: str = ROOT) -> str | None:  # type: ignore[no-untyped-def]
    """The folder to run, None for the deployed files; writes what follows for the record."""
    record = bytearray(18)
    try:
        known = nvs.get_blob("fold", record) == 18
    except OSError:
        known = False
    if not known:
        record = bytearray(18)
        record[0] = VALID
        save(nvs, record)  # tells fwnode that folders are switched here
        return None
    newest = record[0] == VALID
    if record[0] in (NEW, PENDING):
        newest = record[1] > 0
        if newest:
            record[0] = PENDING
            record[1] -= 1
        else:
            record[0] = ABORTED
        if not save(nvs, record):
            newest = False  # a trial that cannot be counted would never end
    for name in (record[2:10], record[10:18]) if newest else (record[10:18],):
        if any(name):
            try:
                os.stat(root + name.hex())
                return root + name.hex()
            except OSError:
                pass  # it is gone: the one before, or the deployed files
    return None


def save(nvs, record: bytearray) -> bool:  # type: ignore[no-untyped-def]
    """Write the record; returns whether it is kept."""
    try:
        nvs.set_blob("fold", record)
        nvs.commit()
        return True
    except OSError:
        return False


try:
    from esp32 import NVS
except ImportError:
    NVS = None

if NVS:
    chosen = choose(NVS("fwchain"))
    if chosen:
        sys.path.insert(0, chosen + "/lib")
        sys.path.insert(0, chosen)
