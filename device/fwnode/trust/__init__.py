"""What a node believes and why: the trust root, certificates, and the vendor's signature over a release."""

from fwnode.errors import FwError


class Untrusted(FwError):
    """A well-formed document that breaks a rule; `reason` is a short word for counters and logs."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
