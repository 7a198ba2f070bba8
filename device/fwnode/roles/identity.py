"""Who a node is, in every role that it plays, and what it dropped."""

from fwnode.crypto import InvalidBox


class Identity:
    """A node's keys and what it tells about itself.

    `credential` is ("cert", certificate bytes), or ("pu", public key) in an open network; `net` the first 8 bytes of
    the genesis block's hash; `port` where this node takes messages.
    """

    def __init__(self, private: bytes, public: bytes, credential: tuple, model: str, net: bytes, port: int) -> None:
        self.private = private
        self.public = public
        self.credential = credential
        self.model = model
        self.net = net
        self.port = port


class Counters:
    """What was dropped, by reason; counts in `by_reason` when it is given."""

    def __init__(self, by_reason: dict | None = None) -> None:
        self.by_reason: dict = {} if by_reason is None else by_reason

    def count(self, reason: str) -> None:
        """One more dropped for `reason`."""
        self.by_reason[reason] = self.by_reason.get(reason, 0) + 1

    def drop(self, error: Exception) -> None:
        """One more dropped for what `error` says: its reason, its field, or its kind."""
        if isinstance(error, MemoryError):
            return self.count("memory")
        kind = "box" if isinstance(error, InvalidBox) else "malformed"
        return self.count(getattr(error, "reason", None) or getattr(error, "field", None) or kind)
