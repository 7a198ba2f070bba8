"""What a believed release holds: all that downloading, installing and seeding need, without what checked it.

A board keeps this and lets the checking code go, which is twice as large as the rest of a check's needs.
"""

import hashlib

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
    "rollout",
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

    def offered(self, public: bytes, now: int | None) -> bool:
        """Whether the rollout has reached the board with this key at `now` (seconds since 1970; None: not known).

        A board's place in a release, 0 to 999, is SHA-256(PU ‖ verifier) mod 1000.
        """
        rollout = self.rollout  # type: ignore[attr-defined]
        if rollout is None or now is None:
            return rollout is None
        start, waves = rollout
        reached = 0
        for permille, seconds in waves:
            if now >= start + seconds:
                reached = permille
        place = hashlib.sha256(public + self.verifier).digest()  # type: ignore[attr-defined]
        return int.from_bytes(place, "big") % 1000 < reached

    def piece_hash(self, index: int) -> bytes:
        """SHA-1 of the piece, 20 bytes."""
        return self.pieces[20 * index : 20 * index + 20]  # type: ignore[attr-defined,no-any-return]

    def piece_size(self, index: int) -> int:
        """Bytes in the piece; the last one may be short."""
        return min(self.piece_length, self.size - index * self.piece_length)  # type: ignore[attr-defined,no-any-return]
