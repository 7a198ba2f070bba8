"""The download of a release into its place, from its peers and web seeds. Loaded while there is one."""

from fwnode.swarm.download import Download


async def download(sharing, release, storage, peers: list) -> None:  # type: ignore[no-untyped-def]
    """Fetch the whole of `release` for `sharing` (fwnode.sharing.Sharing); raises SwarmError."""
    node = sharing.node
    sharing.buffers.grow(Download.sources)
    fetch = Download(
        release,
        storage,
        peers,
        sharing.peer_id,
        node.local,
        node.config.port,
        trackers=release.trackers,
        web_seeds=release.web_seeds,
        up_rate=node.config.upload_kbps * 1024,
        check_first=storage.check_first,
        on_event=sharing.event,
        buffers=sharing.buffers,
    )
    if sharing.ones is not None:
        storage.widen(sharing.ones)
    sharing.router.add(fetch)
    sharing.discover(fetch)
    try:
        await fetch.run()
    finally:
        sharing.router.remove(fetch)
        sharing.discover(None)
        await fetch.close()
    down = {ip: counts[0] for ip, counts in fetch.stats.items() if counts[0]}
    up = {ip: counts[1] for ip, counts in fetch.stats.items() if counts[1]}
    node.hooks.state("downloaded", version=release.version, size=release.size, down=down, up=up)
