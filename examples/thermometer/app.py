"""A thermometer: the example of an application that lives beside fwnode and is updated with it.

It reads a (simulated) sensor, corrects it by `calibration.json`, and holds back updates while it measures.
"""

import asyncio
import hashlib
import json
import math

from build_info import VERSION

FOLDER = __file__.rsplit("/", 1)[0] + "/"  # where its files lie: in the image, or in a release's own folder
CHUNK = 4096
SENSOR_RANGE = (-40, 125)  # °C
PERIOD_S = 60

measuring = False


def calibration():
    """Degrees to add to what the sensor says, and the SHA-256 (hex) of the filler, "" when there is none."""
    with open(FOLDER + "calibration.json") as file:
        values = json.load(file)
    return values["offset"], values.get("filler", "")


def digest(path):
    """SHA-256 of a file in hex, read in chunks."""
    whole = hashlib.sha256()
    buf = bytearray(CHUNK)
    view = memoryview(buf)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(buf)
            if not count:
                break
            whole.update(view[:count])
    return "".join("{:02x}".format(byte) for byte in whole.digest())


def read_sensor(tick):
    """Degrees Celsius of the simulated sensor."""
    return 21.5 + 0.5 * math.sin(tick / 10)


def self_test():
    """A new release is kept only when this says True: a plausible reading, and every byte of the filler right."""
    offset, filler = calibration()
    if filler and digest(FOLDER + "filler.bin") != filler:
        return False
    low, high = SENSOR_RANGE
    return low <= read_sensor(0) + offset <= high


def may_update(release):
    """Not in the middle of a measurement."""
    return not measuring


def on_state(state, facts):
    """What the node does; a real device would light its LED here."""
    if state == "confirmed":
        print("thermometer", VERSION, "is confirmed")


async def main(node):
    """Measure once a minute, for as long as the board runs."""
    global measuring
    tick = 0
    while True:
        measuring = True
        offset, _ = calibration()
        print("{:.1f} C".format(read_sensor(tick) + offset))
        measuring = False
        tick += 1
        await asyncio.sleep(PERIOD_S)
