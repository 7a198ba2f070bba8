"""What runs on this board, as far as it is known and as it was computed.

The rare parts (finding it out at a boot, confirming, rolling back) are in `trial`, which loads on demand.
"""

from fwnode.errors import FwError
from fwnode.update import ImageError, let_go
from fwnode.update.files import FileStore
from fwnode.update.keys import KeyStore
from fwnode.update.slots import Slots
from fwnode.update.stream import ROOT, Stream
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
        self.outcome = None  # type: tuple | None

    def check(self):  # type: ignore[no-untyped-def]
        """Steps: find out all of the above; once, first thing after a boot."""
        from fwnode.update import trial

        yield from trial.check(self)
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
            self.record["w"] = reason.encode()
            self.keys.put_record("pend", self.record)
            if self.place[0] == "/":
                from fwnode.update import folders

                folders.abort(self.keys)

    def told(self) -> None:
        """The outcome is logged: forget it."""
        self.outcome = None
        if not self.trial:
            from fwnode.update import trial

            trial.told(self)

    def use(self, record, release) -> None:  # type: ignore[no-untyped-def]
        """Take `record` for what runs, laid out as `release` says (None: the slot's image alone)."""
        self.record = record
        self.release = release
        if release is None:
            self.stream = ImageStream(self.slots.running)
        else:
            self.stream = Stream(release, self.slots.running, self.root)

    def read_release(self, name: str):  # type: ignore[no-untyped-def]
        """The Contents of an M in a file; None when there is none or it is malformed."""
        from fwnode.trust.contents import Contents
        from fwnode.trust.release import Release

        try:
            raw = self.files.read(name)
            if not raw:
                return None
            release = Contents(Release(raw))
        except FwError:
            return None
        # the file has both; who seeds needs neither
        release.metainfo = release.pieces = b""  # type: ignore[attr-defined]
        return release

    @property
    def version(self) -> str:
        """The running release's version, "0.0.0" when nothing is known."""
        return self.record["v"].decode() if self.record else "0.0.0"

    @property
    def update_only(self) -> bool:
        """What runs is below the floor, or there is a floor and nothing is known of what runs."""
        record = self.record
        if record is None:
            return self.keys.record("floor") is not None
        return self.below_floor(record["e"], version_key(record["v"])) is not None

    def below_floor(self, epoch: int, key: tuple):  # type: ignore[no-untyped-def]
        """None, "epoch" or "version": what is below the floor."""
        floor = self.keys.record("floor")
        if floor is not None:
            if epoch < floor["e"]:
                return "epoch"
            if key < version_key(floor["v"]):
                return "version"
        return None


class ImageStream:
    """A slot's image alone, for when no M tells more; the whole slot when it holds no image any more."""

    def __init__(self, slot) -> None:  # type: ignore[no-untyped-def]
        self.readinto = slot.readinto
        try:
            self.size = slot.image_length
        except ImageError:
            self.size = slot.size


def version_key(text) -> tuple:  # type: ignore[no-untyped-def]
    """Three numbers to compare, of "1.2.0" as str or bytes."""
    from fwnode.trust.version import parse

    return parse(text)
