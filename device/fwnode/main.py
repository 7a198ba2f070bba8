"""`fwnode.run`: the whole node beside an application, from here to the next reset."""


def run(app) -> None:  # type: ignore[no-untyped-def]
    """Run the node and the application `app` on this board until a reset; see `fwnode.app` for its hooks."""
    import asyncio

    asyncio.run(_main(app))


async def _main(app) -> None:  # type: ignore[no-untyped-def]
    from fwnode.compat import forget, tidy

    tidy(2048)
    from fwnode.startup import start

    tidy()
    node = await start(app)
    del start
    forget("fwnode.startup", "fwnode.config", "fwnode.net.wifi")  # not needed again before a reset
    if node is not None:
        await node.run_guarded()
