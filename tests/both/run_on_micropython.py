"""Run every test function of a module on MicroPython and print one JSON line for each."""

import gc
import io
import json
import sys


def trace(error):
    """The traceback as text."""
    text = io.StringIO()
    sys.print_exception(error, text)
    return text.getvalue()


def run(module):
    """Import the module of that name and call its test functions."""
    try:
        tests = __import__(module)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the other side reports it
        print("\n" + json.dumps({"test": "", "error": trace(error)}))
        sys.exit(1)
    for name in sorted(dir(tests)):
        if not name.startswith("test_"):
            continue
        gc.collect()
        outcome = {"test": name, "error": None}
        try:
            getattr(tests, name)()
        except BaseException as error:  # noqa: BLE001 - as above
            outcome["error"] = trace(error)
        print("\n" + json.dumps(outcome))
