"""The mini tracker: HTTP and UDP on one port, for the info-hashes of verified releases alone."""

from fwchain.tracker.core import TrackerError
from fwchain.tracker.tracker import Tracker

__all__ = ["Tracker", "TrackerError"]
