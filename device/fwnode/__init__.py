"""fwnode: a board's part of the network, beside a maker's own application.

    import fwnode, app
    fwnode.run(app)

`fwnode.app` says what the application may hook into.
"""

from fwnode.main import run

__all__ = ("run",)
