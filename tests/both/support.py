"""What the tests that run on both interpreters share: no pytest, nothing that MicroPython lacks."""


def raises(kind: type, function, *args, **kwargs):
    """Call `function` and return the exception of class `kind` that it raises."""
    try:
        result = function(*args, **kwargs)
        if hasattr(result, "send"):
            run(result)
    except kind as error:
        return error
    raise AssertionError("{} did not raise {}".format(function, kind.__name__))


def run(steps):
    """Drive a generator of steps to its end and return its result."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value
