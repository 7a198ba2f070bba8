"""What runs on this board, as far as it is known and as it was computed.

The rare parts (finding it out at a boot, confirming, rolling back) are in `trial`, which loads on demand.
"""

from fwnode.update import let_go
from fwnode.update.files import FileStore
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots
from fwnode.update.stream import ROOT
from fwnode.update.verify import verifier_steps

RUNNING_M = "running.m"  # M of the confirmed release
PENDING_M = "pending.m"  # M of the one being installed or on trial


class Boot:
    """What runs. After `check`:

    verifier     SHA-256 of what runs, as computed last
    record       {p: place, h: verifier, e: epoch, v: version} of the place that runs; None: nothing known
    genuine      the record agrees with the computed verifier
    trial        first boot of a new release: confirm it, or the next reset rolls it back
    outcome      None, or ("updated" or "rolled_back", version, reason) to be logged; then call `told`
    update_only  what runs is below the floor, or there is a floor and nothing is known of what runs
    stream       what the verifier is computed over: size, readinto
    release      the running Release; None when its M is not at hand
    """

    def __init__(  # type: ignore[no-untyped-def]
        self, slots: Slots, keys: KeyStore, files: FileStore, root: str = ROOT, power_lost=None
    ) -> None:
        """`power_lost`: whether the last reset was a loss of power (None: ask `machine`)."""
        self.slots = slots
        self.keys = keys
        self.files = files
        self.root = root
        self.power_lost = power_lost
        self.place = slots.running.label
        self.verifier = b""
        self.record = None  # type: dict | None
        self.release = None
        self.stream = None  # type: object
        self.genuine = False
        self.trial = False
        self.update_only = False
        self.outcome = None  # type: tuple | None

    def check(self):  # type: ignore[no-untyped-def]
        """Steps: find out all of the above; once, first thing after a boot."""
        from fwnode.update import trial

        yield from trial.check(self)
        self.update_only = trial.update_only(self)
        let_go()

    def verify(self):  # type: ignore[no-untyped-def]
        """Steps: compute the verifier of what runs anew; returns whether it is the record's."""
        self.verifier = yield from verifier_steps(self.stream, self.stream.size)  # type: ignore[attr-defined]
        self.genuine = self.record is not None and self.verifier == self.record["h"]
        return self.genuine

    def confirm(self) -> None:
        """The trial passed its self-test: keep the release, raise the floor, drop the old one."""
        if self.trial:
            from fwnode.update import trial

            trial.confirm(self)
            let_go()

    def fail(self, reason: str) -> None:
        """The trial's verdict, before the caller resets: "check" (refused from then on), else a word such as
        "network" (tried again later). Nothing where there is no trial.
        """
        if self.trial and self.record and "s" in self.record:
            from fwnode.update import trial

            trial.fail(self, reason)

    def told(self) -> None:
        """The outcome is logged: forget it."""
        self.outcome = None
        if not self.trial:
            from fwnode.update import trial

            trial.told(self)

    @property
    def version(self) -> str:
        """The running release's version, "0.0.0" when nothing is known."""
        return self.record["v"].decode() if self.record else "0.0.0"
