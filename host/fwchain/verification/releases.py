"""The releases that a verification node knows: M in the database, the firmware's bytes in a folder beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import sqlalchemy as sa

from fwnode.trust.release import Release

metadata = sa.MetaData()
table = sa.Table(
    "releases",
    metadata,
    sa.Column("info_hash", sa.LargeBinary(20), primary_key=True),
    sa.Column("model", sa.String(32), nullable=False),
    sa.Column("version", sa.String(17), nullable=False),
    sa.Column("metainfo", sa.LargeBinary, nullable=False),
    sa.Column("published", sa.Integer, nullable=False),
    sa.UniqueConstraint("model", "version"),
)


class ReleaseStore:
    """Published releases; reads come from memory, writes go to the database first."""

    def __init__(self, engine: sa.Engine, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """`folder` gets one folder a release, named by its info-hash; raises SQLAlchemyError."""
        self.engine = engine
        self.folder = folder
        self.clock = clock
        self._by_hash: dict[bytes, Release] = {}
        self._withheld: set[bytes] = set()  # verifiers of those that are offered to nobody
        metadata.create_all(engine)
        folder.mkdir(parents=True, exist_ok=True)
        self.reload()

    def reload(self) -> None:
        """Read what is published anew; another process of this node may have added to it."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(table.c.metainfo)).all()
        releases = [Release(bytes(row.metainfo)) for row in rows]
        self._by_hash = {release.info_hash: release for release in releases}

    def add(self, release: Release) -> None:
        """Keep a release whose bytes are in place; raises SQLAlchemyError and keeps nothing then."""
        with self.engine.begin() as connection:
            connection.execute(
                table.insert().values(
                    info_hash=release.info_hash,
                    model=release.model,
                    version=release.version,
                    metainfo=release.metainfo,
                    published=int(self.clock()),
                )
            )
        self._by_hash[release.info_hash] = release

    def sign_anew(self, release: Release) -> None:
        """Take M with other signatures in place of the one with the same info-hash; raises SQLAlchemyError."""
        with self.engine.begin() as connection:
            connection.execute(
                table.update().where(table.c.info_hash == release.info_hash).values(metainfo=release.metainfo)
            )
        self._by_hash[release.info_hash] = release

    def all(self) -> list[Release]:
        """Every release, model by model, oldest version first."""
        return sorted(self._by_hash.values(), key=lambda release: (release.model, release.version_key))

    def newest(self, model: str, public: bytes) -> Release | None:
        """The newest release of `model` whose rollout has reached the board with this key (design: addition 13); none
        that is withheld.
        """
        now = int(self.clock())
        offered = [
            one
            for one in self.all()
            if one.model == model and one.verifier not in self._withheld and one.offered(public, now)
        ]
        return offered[-1] if offered else None

    def withhold(self, verifiers: Iterable[bytes]) -> None:
        """Offer the releases with these verifiers to nobody, and all others again."""
        self._withheld = set(verifiers)

    def by_version(self, model: str, wanted: str) -> Release | None:
        """The release of exactly this version."""
        return next((one for one in self.all() if (one.model, one.version) == (model, wanted)), None)

    def by_info_hash(self, info_hash: bytes) -> Release | None:
        """The release with this info-hash."""
        return self._by_hash.get(info_hash)

    def save_path(self, release: Release) -> Path:
        """The folder that a BitTorrent client of this release would call its save path."""
        return self.folder / release.info_hash.hex()

    def files(self, release: Release, under: Path | None = None) -> list[tuple[Path, int]]:
        """(path, length) of the release's files in the stream's order, laid out as BitTorrent lays them out."""
        base = under or self.save_path(release)
        if len(release.files) == 1:
            return [(base / release.name, release.size)]
        return [(base / release.name / name, length) for name, _, length in release.files]
