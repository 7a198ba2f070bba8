"""Run every test function of one module on MicroPython and print one JSON line for each.

    micropython run_on_micropython.py FOLDER_OF_DEVICE FOLDER_OF_TESTS MODULE
"""

import gc
import io
import json
import sys

sys.path[:] = [sys.argv[1], sys.argv[2]] + sys.path
try:
    module = __import__(sys.argv[3])
except BaseException as error:
    text = io.StringIO()
    sys.print_exception(error, text)
    print("\n" + json.dumps({"test": None, "error": text.getvalue()}))
    sys.exit(1)

for name in sorted(dir(module)):
    if not name.startswith("test_"):
        continue
    gc.collect()
    outcome = {"test": name, "error": None}
    try:
        getattr(module, name)()
    except BaseException as error:
        text = io.StringIO()
        sys.print_exception(error, text)
        outcome["error"] = text.getvalue()
    print("\n" + json.dumps(outcome))
