"""What a verification node offers no more: recalled, stopped by itself, or signed with keys that count no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fwchain.verification.releases import ReleaseStore
from fwchain.verification.waves import VENDOR, WAVE, Count, Recalled, Waves, describe
from fwnode.compat import run
from fwnode.crypto import public_key
from fwnode.trust import Untrusted, issue
from fwnode.trust.cert import Certificate
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release
from fwnode.trust.root import Root
from fwnode.wire.message import key_id


class Oversight:
    """Watches over one node's releases. `on_event(kind, fields)` hears what it does; its calls wait for the disk."""

    def __init__(
        self,
        releases: ReleaseStore,
        private: bytes,
        root: Callable[[], Root],
        on_event: Callable[..., None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.releases = releases
        self.waves = Waves(releases.engine, clock)
        self._private = private
        self._own = key_id(public_key(private))
        self._root = root
        self._on_event = on_event
        self._clock = clock
        self._unsigned: set[bytes] = set()
        self.look()

    def look(self) -> list[str]:
        """Withhold what is recalled, and what the trust root in force does not let be installed; returns the latter."""
        self._unsigned = set()
        names = []
        for release in self.releases.all():
            try:
                run(release.check(self._root(), None))
            except Untrusted:
                self._unsigned.add(release.verifier)
                names.append(f"{release.model} {release.version}")
        self._look_at_recalls()
        self._withhold()
        return names

    def look_at_root(self) -> None:
        """Tell the operator of a root under which no board listens to this node, or installs anything."""
        root = self._root()
        name = f"root {root.number}"
        if root.node_key(self._own) is None:
            self._on_event("error", what="root", why=f"{name} does not name this node: no board believes it")
        if self._clock() > root.expires:
            self._on_event("error", what="root", why=f"{name} has expired: no board installs anything under it")

    def _look_at_recalls(self) -> None:
        """Boards are told of those alone that they would believe; this node's own are signed anew where that helps."""
        void = [one for one in self.waves.all_recalled() if not self._believed(one)]
        self.waves.mute(one.verifier for one in void)
        for one in void:
            statement = self._statement(one) if one.cause == WAVE else None
            if statement:
                self.waves.recall(one, WAVE, statement)

    def _believed(self, one: Recalled) -> bool:
        try:
            by_vendor = run(Recall(one.statement).check(self._root())) if one.statement else None
        except Untrusted:
            return False
        return by_vendor is not None and by_vendor == (one.cause == VENDOR)

    def _statement(self, release: Release | Recalled) -> bytes | None:
        """This node's own recall; None when boards want more signatures than this one, or do not know its key."""
        root = self._root()
        if root.node_threshold > 1 or root.node_key(self._own) is None:
            return None
        unsigned = issue.recall(release.model, release.version, release.verifier, int(self._clock()))
        return bytes(run(issue.sign_recall(unsigned, self._private)))

    def _withhold(self) -> None:
        self.releases.withhold([*self._unsigned, *(one.verifier for one in self.waves.all_recalled())])

    def report(self, log: dict[str, Any]) -> None:
        """Take a verification log that was accepted; a failure too many stops the release's wave."""
        if "cert" not in log:
            return  # in an open network anybody can be as many boards as they like
        key = Certificate(log["cert"]).key_id
        count = self.waves.report(log["h"], key, log["req"], log["o"].decode())
        release = next((one for one in self.releases.all() if one.verifier == log["h"]), None)
        if count and count.stops and release and not self.waves.recalled(release.verifier):
            self._stop(release, count)

    def _stop(self, release: Release, count: Count) -> None:
        statement = self._statement(release)
        if not self.waves.recall(release, WAVE, statement):
            return
        self._withhold()
        self._on_event(
            "wave-stopped",
            model=release.model,
            version=release.version,
            offered=count.offered,
            failed=count.failed,
            told=statement is not None,
        )

    def recall(self, recall: Recall) -> bool:
        """Take a recall that the vendor signed; False when it was here."""
        news = self.waves.recall(recall, VENDOR, recall.data)
        if news:
            self._withhold()
            self._on_event("recalled", model=recall.model, version=recall.version, verifier=recall.verifier)
        return news

    def state(self, release: Release) -> str:
        """How the release stands, for people."""
        if release.verifier in self._unsigned and not self.waves.recalled(release.verifier):
            return f"withheld: root {self._root().number} wants other signatures"
        return describe(self.waves, release, int(self._clock()))

    def metrics(self) -> dict[str, float]:
        """Numbers for `/metrics`."""
        recalled = self.waves.all_recalled()
        values: dict[str, float] = {
            "releases_recalled": sum(one.cause == VENDOR for one in recalled),
            "waves_stopped": sum(one.cause == WAVE for one in recalled),
        }
        for release in self.releases.all():
            count = self.waves.count(release.verifier)
            label = f'{{model="{release.model}",version="{release.version}"}}'
            values[f"release_offered{label}"] = count.offered
            values[f"release_failed{label}"] = count.failed
        return values
