"""The test helpers themselves: a check that cannot fail would hide everything else."""

from support import raises, run


def test_run_returns_the_generators_result():
    def steps():
        yield
        return 7

    assert run(steps()) == 7


def test_raises_insists_on_the_exception():
    assert raises(ValueError, int, "x")
    try:
        raises(ValueError, int, "1")
    except AssertionError:
        return
    raise Exception("raises() accepted a call that raised nothing")
