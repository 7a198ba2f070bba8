"""The board's clock: told by verification nodes, kept in NVS, never going back (design: addition 4)."""

from fwnode import clock as clocks


class Keys:
    """NVS's newest known time."""

    def __init__(self, time=0):
        self.time = time

    def newest_time(self):
        return self.time

    def note_time(self, now):
        self.time = max(self.time, now)


class Ticks:
    """Puts a tick counter that the test moves in place of the real one."""

    def __enter__(self):
        self.now = 1000
        self.kept = clocks.ticks_ms
        clocks.ticks_ms = lambda: self.now
        return self

    def __exit__(self, *_):
        clocks.ticks_ms = self.kept


def test_no_time_is_known_before_somebody_told_it():
    with Ticks() as ticks:
        clock = clocks.Clock(Keys())
        assert clock.now() is None
        ticks.now += 5000
        clock.learn(1_800_000_000)
        ticks.now += 3000
        assert clock.now() == clock.told() == 1_800_000_003


def test_time_never_goes_back():
    with Ticks():
        clock = clocks.Clock(Keys())
        clock.learn(1_800_000_000)
        clock.learn(1_700_000_000)
        assert clock.now() == 1_800_000_000


def test_the_newest_known_time_survives_a_reset_as_a_lower_bound():
    with Ticks() as ticks:
        keys = Keys()
        clocks.Clock(keys).learn(1_800_000_000)
        later = clocks.Clock(keys)
        ticks.now += 2000
        assert later.now() == 1_800_000_002
        assert later.told() is None  # nobody told it since: it may be long past
        later.learn(1_700_000_000)
        assert later.now() == 1_800_000_002


def test_seven_days_without_an_answer_are_stale():
    with Ticks() as ticks:
        clock = clocks.Clock(Keys())
        for _ in range(7 * 24):
            ticks.now += 3_600_000
            assert not clock.stale(0)
        ticks.now += 2000
        assert clock.stale(0) and not clock.stale(clock.uptime_s() - 5)
