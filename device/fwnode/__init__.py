"""fwnode: a board's part of the network, beside a maker's own application.

    import fwnode, app
    fwnode.run(app)
"""


def run(app) -> None:  # type: ignore[no-untyped-def]
    """Run the node and the application `app` on this board until a reset; see `fwnode.app` for its hooks."""
    import asyncio
    import gc

    # Modules stay for good: collecting often while they are loaded keeps them together at the heap's start. Without
    # that their garbage leaves holes all over, and no free block is larger than 2 KB.
    gc.collect()
    gc.threshold(2048)
    from fwnode.startup import main

    gc.collect()
    gc.threshold(16384)
    asyncio.run(main(app))
