# Freezes fwnode and its entry into a MicroPython build (FROZEN_MANIFEST=…/device/manifest.py).
include("$(PORT_DIR)/boards/manifest.py")

package("fwnode", base_path=".", opt=3)
module("main.py", base_path=".", opt=3)
module("boot.py", base_path=".", opt=3)
