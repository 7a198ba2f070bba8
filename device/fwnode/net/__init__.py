"""Transports: TCP streams, HTTP/1.1, one listening port, and the broadcast on the local network."""

from fwnode.errors import FwError


class NetError(FwError):
    """A transport failed; the text says which address and why. Worth another try later."""
