"""The two ways in which a key or a sealed box can be wrong."""

from ..errors import FwError


class InvalidKey(FwError):
    """A private key out of range, or a public key that is not a point of P-256."""


class InvalidBox(FwError):
    """A sealed box that does not open: too short, changed, or sealed to somebody else."""
