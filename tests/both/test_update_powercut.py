"""Power cut before, in the middle of and after every operation of an update, boots and confirmation included.

Flash operations, NVS entries and file replacements are counted alike. Cuts that follow one another are in
tests/unit/test_update_powercuts.py.
"""

from update_cuts import live
from update_node import Node, new_version

IMAGE, RELEASE = new_version("1.1.0", size=1800)


def every_cut(lazy):
    count = live(Node(lazy=lazy, size=500), RELEASE, IMAGE)
    assert count > 25
    for at in range(count):
        for phase in (0, 1, 2):
            try:
                live(Node(lazy=lazy, size=500), RELEASE, IMAGE, [(at, phase)])
            except AssertionError as error:
                raise AssertionError("cut at operation {}, phase {}: {}".format(at, phase, error))


def test_cut_at_every_operation_nvs_at_once():
    every_cut(False)


def test_cut_at_every_operation_nvs_at_commit():
    every_cut(True)
