"""fwchain: the CPython toolkit around `fwnode`, the package that runs on the boards."""

__version__ = "0.1.0"
