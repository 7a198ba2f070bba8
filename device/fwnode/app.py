"""The hooks of a maker's application, each optional: what a module or object given to `fwnode.run` may have.

VERSION                     text that is reported beside the firmware's version
self_test() -> bool         called in the first boot of a new release: False rolls it back for good
may_update(release) -> bool a release is about to be downloaded; False holds it until the next check
on_state(state, facts)      what the node does, as it does it: a word and a dictionary
main(node)                  a coroutine function that runs beside the node
"""

import json


class Application:
    """An application's hooks, with what happens where it has none; `events` prints each state as a JSON line."""

    def __init__(self, app, events: bool) -> None:  # type: ignore[no-untyped-def]
        self._app = app
        self._events = events
        self.version = str(getattr(app, "VERSION", ""))
        self.task: object = None  # of main(node)

    def self_test(self) -> bool:
        """The application's own check; one that raises has failed."""
        hook = getattr(self._app, "self_test", None)
        if hook is None:
            return True
        try:
            return hook() is not False
        except Exception as error:  # noqa: BLE001 - a maker's code may raise anything, and must not stop the node
            self.state("error", what="self_test", why=repr(error))
            return False

    def may_update(self, release) -> bool:  # type: ignore[no-untyped-def]
        """Whether the release may be downloaded and installed now."""
        hook = getattr(self._app, "may_update", None)
        if hook is None:
            return True
        try:
            return hook(release) is not False
        except Exception as error:  # noqa: BLE001 - as above
            self.state("error", what="may_update", why=repr(error))
            return False

    def state(self, state: str, **facts: object) -> None:
        """Tell what the node does."""
        if self._events:
            row = {"event": state}  # type: dict[str, object]
            row.update(facts)
            print(json.dumps(row))
        hook = getattr(self._app, "on_state", None)
        if hook is not None:
            try:
                hook(state, facts)
            except Exception as error:  # noqa: BLE001 - as above
                print(json.dumps({"event": "error", "what": "on_state", "why": repr(error)}))

    def main(self, node):  # type: ignore[no-untyped-def]
        """The application's coroutine, None when it has none."""
        hook = getattr(self._app, "main", None)
        return hook(node) if hook is not None else None
