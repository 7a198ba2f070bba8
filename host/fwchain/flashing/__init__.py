"""Flashing, provisioning and deploying, to a virtual or a real board: what `make flash` and its
like call.

The real esptool, mpremote and ampy do the work, as programs of their own; what they say on failure
is turned into a sentence that tells what to do.
"""

from fwchain.flashing.errors import FlashingError

__all__ = ["FlashingError"]
