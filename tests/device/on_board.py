"""Runs the test functions of a module on a board and prints one JSON line for each. No host tool is needed.

The same modules run in a virtual board (tests/device/test_board_modules.py) and on a board on the desk
(`mpremote mount tests/device exec "import on_board; on_board.run('on_board_nvs')"`).
"""

import gc
import io
import json
import sys


def raises(kind, function, *args, **kwargs):
    """Call `function` and return the exception of class `kind` that it raises."""
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError("{} did not raise {}".format(function, kind.__name__))


def run(name):
    """Run every test_* of the module `name`."""
    module = __import__(name)
    for test in sorted(dir(module)):
        if not test.startswith("test_"):
            continue
        gc.collect()
        error = None
        try:
            getattr(module, test)()
        except BaseException as caught:  # noqa: BLE001 the report says which
            text = io.StringIO()
            sys.print_exception(caught, text)
            error = text.getvalue()
        print(json.dumps({"event": "test", "test": test, "error": error}))
    print(json.dumps({"event": "tests_done", "module": name}))
