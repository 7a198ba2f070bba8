"""What the tests that run on both interpreters share: no pytest, nothing that MicroPython lacks."""

from fwnode.compat import run

__all__ = ["raises", "run"]


def raises(kind: type, function, *args, **kwargs):
    """Call `function` and return the exception of class `kind` that it raises."""
    try:
        result = function(*args, **kwargs)
        if hasattr(result, "send"):
            run(result)
    except kind as error:
        return error
    raise AssertionError("{} did not raise {}".format(function, kind.__name__))
