"""What a malformed byte string raises, whoever sent it."""

from fwnode.errors import FwError


class WireError(FwError):
    """A message or document is malformed; the text names the field and the limit."""
