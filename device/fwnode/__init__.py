"""fwnode: a board's part of the network, beside a maker's own application.

    import fwnode, app
    fwnode.run(app)
"""


def run(app) -> None:  # type: ignore[no-untyped-def]
    """Run the node and the application `app` on this board until a reset; see `fwnode.app` for its hooks."""
    import asyncio

    from fwnode.startup import main

    asyncio.run(main(app))
