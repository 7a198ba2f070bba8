"""One exception tree for everything that runs on a node."""


class FwError(Exception):
    """Base of every error that fwnode raises on purpose."""
