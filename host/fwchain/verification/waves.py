"""Releases that go wrong: who was offered one, who reports a failure, what is offered no more (design: addition 13).

A report counts when it is a verification log, validly signed by a certified board (the exchange and the chain check
that), about the release and out of an exchange in which this node offered that board exactly this release. So a
stranger's report, one that is sent again, and one about a release that was never offered count nothing; a certified
key counts once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from fwchain.chainstore.reader import named
from fwchain.chainstore.schema import WRITES
from fwnode.roles.log import FAILED, ROLLED_BACK
from fwnode.trust import version
from fwnode.trust.issue import pack_recalls
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release

LEAST_FAILED = 10  # distinct certified boards
SHARE = 20  # one of so many that the release was offered to: 5 %
KEPT_REQUESTS = 8  # exchanges of one board with one release that are remembered
BAD = (FAILED, ROLLED_BACK)

VENDOR = "vendor"
WAVE = "wave"

metadata = sa.MetaData()
offers = sa.Table(
    "wave_offer",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("verifier", sa.LargeBinary(32), nullable=False),
    sa.Column("key", sa.LargeBinary(20), nullable=False),
    sa.Column("request", sa.LargeBinary(20), nullable=False),
    sa.UniqueConstraint("verifier", "key", "request"),
)
failures = sa.Table(
    "wave_failure",
    metadata,
    sa.Column("verifier", sa.LargeBinary(32), primary_key=True),
    sa.Column("key", sa.LargeBinary(20), primary_key=True),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("time", sa.Integer, nullable=False),
)
recalls = sa.Table(
    "recall",
    metadata,
    sa.Column("verifier", sa.LargeBinary(32), primary_key=True),
    sa.Column("model", sa.String(32), nullable=False),
    sa.Column("version", sa.String(17), nullable=False),
    sa.Column("cause", sa.String(16), nullable=False),
    sa.Column("statement", sa.LargeBinary, nullable=True),
    sa.Column("time", sa.Integer, nullable=False),
)


@dataclass(frozen=True)
class Count:
    """Certified boards that a release was offered to, and those of them that reported its failure."""

    offered: int
    failed: int

    @property
    def stops(self) -> bool:
        """Whether the wave is to stop."""
        return self.failed >= LEAST_FAILED and self.failed * SHARE >= self.offered


@dataclass(frozen=True)
class Recalled:
    """A release that is offered no more; `statement` is None when this node alone cannot sign for the others."""

    verifier: bytes
    model: str
    version: str
    cause: str
    statement: bytes | None
    time: int


class Waves:
    """The records of one verification node; calls that write wait for the disk, and raise StoreError."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITES)
        self._clock = clock
        with named("open"):
            metadata.create_all(engine)
            with engine.connect() as connection:
                rows = connection.execute(sa.select(recalls)).all()
        self._recalled = {
            bytes(row.verifier): Recalled(
                bytes(row.verifier), row.model, row.version, row.cause, row.statement and bytes(row.statement), row.time
            )
            for row in rows
        }
        self._muted: set[bytes] = set()  # verifiers of recalls whose signatures count no more

    # counting

    def offer(self, verifier: bytes, key: bytes, request: bytes) -> None:
        """The release was offered to the certified key with this ID, in the exchange with this request ID."""
        here = (offers.c.verifier == verifier) & (offers.c.key == key)
        with named("write"), self._writing.begin() as connection:
            known = [
                (row.id, bytes(row.request))
                for row in connection.execute(
                    sa.select(offers.c.id, offers.c.request).where(here).order_by(offers.c.id)
                )
            ]
            if any(one == request for _, one in known):
                return
            connection.execute(offers.insert().values(verifier=verifier, key=key, request=request))
            for identity, _ in known[: max(0, len(known) + 1 - KEPT_REQUESTS)]:
                connection.execute(offers.delete().where(offers.c.id == identity))

    def report(self, verifier: bytes, key: bytes, request: bytes, outcome: str) -> Count | None:
        """Take a certified board's log; the count when it is a failure that had not counted yet, else None."""
        if outcome not in BAD:
            return None
        offered = sa.select(offers.c.id).where(
            offers.c.verifier == verifier, offers.c.key == key, offers.c.request == request
        )
        known = sa.select(failures.c.time).where(failures.c.verifier == verifier, failures.c.key == key)
        with named("write"), self._writing.begin() as connection:
            if connection.execute(offered).first() is None or connection.execute(known).first() is not None:
                return None
            connection.execute(
                failures.insert().values(verifier=verifier, key=key, outcome=outcome, time=int(self._clock()))
            )
        return self.count(verifier)

    def count(self, verifier: bytes) -> Count:
        """How the release with this verifier fares."""
        keys = sa.select(sa.func.count(sa.distinct(offers.c.key))).where(offers.c.verifier == verifier)
        bad = sa.select(sa.func.count()).select_from(failures).where(failures.c.verifier == verifier)
        with named("read"), self._engine.connect() as connection:
            return Count(connection.execute(keys).scalar_one(), connection.execute(bad).scalar_one())

    # recalls

    def recall(self, release: Recall | Release | Recalled, cause: str, statement: bytes | None) -> bool:
        """Offer this release to nobody from now on; False when that was so.

        A vendor's word replaces the node's own, and any word one whose signatures count no more.
        """
        held = self._recalled.get(release.verifier)
        if held and release.verifier not in self._muted and (held.cause == VENDOR or cause != VENDOR):
            return False
        made = Recalled(release.verifier, release.model, release.version, cause, statement, int(self._clock()))
        with named("write"), self._writing.begin() as connection:
            connection.execute(recalls.delete().where(recalls.c.verifier == made.verifier))
            connection.execute(
                recalls.insert().values(
                    verifier=made.verifier,
                    model=made.model,
                    version=made.version,
                    cause=made.cause,
                    statement=made.statement,
                    time=made.time,
                )
            )
        self._recalled[made.verifier] = made
        self._muted.discard(made.verifier)
        return True

    def mute(self, verifiers: Iterable[bytes]) -> None:
        """Tell boards nothing of these recalls, and of all others again: the trust root wants other signatures."""
        self._muted = set(verifiers)

    def recalled(self, verifier: bytes) -> Recalled | None:
        """Why the release with this verifier is offered no more; None when it is."""
        return self._recalled.get(verifier)

    def all_recalled(self) -> list[Recalled]:
        """Every release that is offered no more."""
        return list(self._recalled.values())

    def told(self, model: str, running: str) -> bytes | None:
        """What a board of this model that runs this version is told: recalls of it and of newer ones, newest first.

        It takes no older release anyway.
        """
        least = version.parse(running)
        told = (one for one in self._recalled.values() if one.statement and one.verifier not in self._muted)
        rows = [one for one in told if one.model == model]
        rows = sorted(
            (one for one in rows if version.parse(one.version) >= least),
            key=lambda one: version.parse(one.version),
            reverse=True,
        )
        return bytes(pack_recalls([one.statement for one in rows])) if rows else None


def describe(waves: Waves, release: Release, now: int) -> str:
    """How a release stands at `now` (seconds since 1970), for people."""
    count = waves.count(release.verifier)
    held = waves.recalled(release.verifier)
    if held:
        what = "recalled by the vendor" if held.cause == VENDOR else "stopped by itself"
    else:
        what = _reached(release, now)
    return f"{what}; {count.failed} of {count.offered} boards that were offered it report failure"


def _reached(release: Release, now: int) -> str:
    if release.rollout is None:
        return "offered to every board"
    start, steps = release.rollout
    reached = max((permille for permille, seconds in steps if now >= start + seconds), default=0)
    return f"offered to {reached / 10:g} % of boards"
