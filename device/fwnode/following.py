"""What follows from a check that was answered. Loaded for it."""


async def follow(node, found) -> None:  # type: ignore[no-untyped-def]
    """Log what became of the last update, take what is new in the chain, then act on what was found."""
    if node.boot.outcome is not None:
        async with node.turn:
            with node.update_code:
                from fwnode.updating import log_outcome

                await log_outcome(node)
                del log_outcome
    if found.url:
        async with node.turn:
            await node.ledger.sync(found.url)
    if found.release is None:
        counted = {"confirmations": found.confirmations} if found.confirmations else {}
        node.hooks.state(found.outcome, version=node.boot.version, why=found.why, case=found.case, **counted)
        return
    async with node.turn:
        with node.update_code:
            from fwnode.updating import update

            await update(node, found)
            del update
