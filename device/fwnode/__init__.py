"""fwnode: a board's part of the network, beside a maker's own application.

    import fwnode, app
    fwnode.run(app)

`fwnode.app` says what the application may hook into.
"""


def run(app) -> None:  # type: ignore[no-untyped-def]
    """Run the node and the application `app` on this board until a reset; see `fwnode.app` for its hooks."""
    import asyncio

    from fwnode.compat import tidy

    tidy(2048)
    from fwnode.startup import main

    tidy()
    asyncio.run(main(app))
