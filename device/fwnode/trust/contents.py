"""What a believed release holds: all that downloading, installing and seeding need, without what checked it.

A board keeps this and lets the checking code go, which is twice as large as the rest of a check's needs.
"""

FIELDS = (
    "metainfo",
    "model",
    "platform",
    "version",
    "version_key",
    "files",
    "size",
    "verifier",
    "epoch",
    "info_hash",
    "piece_length",
    "piece_count",
    "pieces",
    "name",
    "private",
    "trackers",
    "web_seeds",
)


class Contents:
    """The fields of a release (see fwnode.trust.release.Release for what they mean)."""

    def __init__(self, release) -> None:  # type: ignore[no-untyped-def]
        for name in FIELDS:
            setattr(self, name, getattr(release, name))

    @property
    def slot_size(self) -> int:
        """Bytes of the application image, 0 when the release has path files alone."""
        return sum(length for _, target, length in self.files if target == "slot")  # type: ignore[attr-defined]

    def piece_hash(self, index: int) -> bytes:
        """SHA-1 of the piece, 20 bytes."""
        return self.pieces[20 * index : 20 * index + 20]  # type: ignore[attr-defined,no-any-return]

    def piece_size(self, index: int) -> int:
        """Bytes in the piece; the last one may be short."""
        return min(self.piece_length, self.size - index * self.piece_length)  # type: ignore[attr-defined,no-any-return]
