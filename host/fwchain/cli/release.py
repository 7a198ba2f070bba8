"""`fwchain release`: build, sign, show, publish and recall a firmware release."""

from __future__ import annotations

import json
import os
import ssl
import time
from pathlib import Path

import sqlalchemy as sa
import typer
from rich.console import Console

from fwchain import files as write
from fwchain import tls
from fwchain.cli.options import load_network, progress
from fwchain.errors import HostError, SetupError
from fwchain.network import Network
from fwchain.vendor import build as build_
from fwchain.vendor import firmware, publish, recalling, show, signing
from fwnode.trust.release import SLOT, Release

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Build, sign, show, publish and recall a release.")

NETWORK = typer.Option(None, "--network", "-n", help="Network folder (default: ./network, where it is there).")
JSON = typer.Option(False, "--json", help="Print JSON.")
TO = typer.Option(None, help="https://HOST:PORT of the node (default: the network's).")
CERTIFICATE = typer.Option(None, help="Vendor's certificate (default: the network's).")
PIN = typer.Option(None, help="The node's certificate (default: the network's).")


@app.command()
def build(
    source: Path | None = typer.Argument(None, help="Firmware folder with app.py (platform virtual)."),
    version: str = typer.Option(..., "--version", "-v", help="Version, such as 1.2.0."),
    image: Path | None = typer.Option(None, help="Application image (.bin) that is built already."),
    path_file: list[str] = typer.Option([], "--path", help="FILE=TARGET: a file beside the image, or instead of it."),
    platform: str = typer.Option("virtual", help="esp32, esp32s3, esp32c3 or virtual."),
    model: str | None = typer.Option(None, help="Model (default: the network's)."),
    out: Path = typer.Option(Path("release"), "--out", "-o", help="Folder for the image and M."),
    epoch: int | None = typer.Option(None, help="Security epoch (default: the network's)."),
    issued: int | None = typer.Option(None, help="Time of issue (default: SOURCE_DATE_EPOCH, else now)."),
    days: float | None = typer.Option(None, help="Days until it expires (default: the network's)."),
    tracker: list[str] = typer.Option([], help="Further tracker URL."),
    web_seed: list[str] = typer.Option([], help="Further web seed URL."),
    rollout: str | None = typer.Option(None, help="Waves, PERMILLE:SECONDS,… such as 50:0,1000:86400."),
    rollout_start: int | None = typer.Option(None, help="Time from which they count (default: the time of issue)."),
    private: bool = typer.Option(False, help="No DHT and no local discovery (BEP 27)."),
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Build the image and M, the metadata of the release. The same input and time of issue give the same bytes."""
    net = load_network(network, needed=False)
    settings = net.config if net else None
    if model is None and settings is None:
        raise SetupError("which model? give --model, or a network folder with --network")
    model = model or str(settings["board"]["model"])  # type: ignore[index]
    issued = int(os.environ.get("SOURCE_DATE_EPOCH", time.time())) if issued is None else issued
    days = days if days is not None else (settings["release"]["days"] if settings else 365.0)
    files = _files(source, image, path_file, platform, model, version)
    statement = build_.Statement(
        model=model,
        platform=platform,
        version=version,
        issued=issued,
        expires=issued + int(days * build_.DAY_S),
        epoch=epoch if epoch is not None else (settings["release"]["epoch"] if settings else 0),
        node_url=settings.url if settings else "",
        trackers=tracker,
        web_seeds=web_seed,
        rollout=(issued if rollout_start is None else rollout_start, _waves(rollout)) if rollout else None,
        private=private,
    )
    data = build_.metainfo(statement, files)
    out.mkdir(parents=True, exist_ok=True)
    for name, _, content in files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write.replace(out / name, content)
    made = out / f"{model}-{version}.torrent"
    write.replace(made, data)
    release = signing.read(made)
    if as_json:
        typer.echo(json.dumps({"metadata": str(made), **show.facts(release)}))
        return
    typer.echo(f"{release.model} {release.version} for {release.platform}: {release.size:,} bytes")
    typer.echo(f"  verifier {release.verifier.hex()}")
    typer.echo(f"next: fwchain release sign {made}{_same(network)}")


@app.command()
def sign(
    metadata: Path = typer.Argument(..., help="M, as `fwchain release build` wrote it."),
    key: list[Path] = typer.Option([], "--key", "-k", help="Vendor key file (default: those of the network folder)."),
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Sign M with vendor keys. Works without any connection; several keys may sign, one after the other."""
    net = load_network(network, needed=not key)
    keys = key or net.key_files("vendor")  # type: ignore[union-attr]
    release = signing.sign(metadata, keys, net)
    need = net.root.vendor_threshold if net else None
    if as_json:
        typer.echo(json.dumps({"metadata": str(metadata), "signatures": len(release.signatures), "needed": need}))
        return
    of = f" of {need}" if need else ""
    typer.echo(f"{release.model} {release.version}: {len(release.signatures)}{of} signatures")
    if need is None or len(release.signatures) >= need:
        typer.echo(f"next: fwchain release publish {metadata}{_same(network)}")


@app.command("show")
def show_(
    metadata: Path = typer.Argument(..., help="M."),
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Print what M says, its magnet link, and how it fares in the network whose folder is at hand."""
    release = signing.read(metadata)
    net = load_network(network, needed=False)
    state = standing(net, release) if net else None
    if as_json:
        typer.echo(json.dumps({**show.facts(release, net), "standing": state}, indent=2))
    else:
        show.show(release, Console(), net, state)


@app.command("publish")
def publish_(
    metadata: Path = typer.Argument(..., help="Signed M; the release's files lie beside it."),
    to: str | None = TO,
    key: Path | None = typer.Option(None, help="Vendor key file (default: the network's)."),
    certificate: Path | None = CERTIFICATE,
    pin: Path | None = PIN,
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Send a signed release to the verification node, over mutual TLS."""
    release = signing.read(metadata)
    net = load_network(network, needed=not (to and key and certificate and pin))
    if not release.signatures:
        raise signing.not_signed(release)
    if net:
        signing.check(release, net, int(time.time()))
    url, context = _channel(net, to, key, certificate, pin)
    with progress() as bar:
        task = bar.add_task(f"publishing {release.model} {release.version}", total=release.size)
        answer = publish.publish(
            url,
            context,
            release,
            build_.file_paths(release, metadata.parent),
            lambda count: bar.advance(task, count),
        )
    typer.echo(json.dumps(answer) if as_json else f"published {release.model} {release.version} at {url}")


@app.command()
def recall(
    metadata: Path = typer.Argument(..., help="M of the release that no board is to install any more."),
    key: list[Path] = typer.Option([], "--key", "-k", help="Vendor key file (default: those of the network folder)."),
    out: Path | None = typer.Option(None, "--out", "-o", help="File of the recall (default: beside M, .recall)."),
    offline: bool = typer.Option(False, help="Sign it and send it nowhere."),
    to: str | None = TO,
    certificate: Path | None = CERTIFICATE,
    pin: Path | None = PIN,
    network: Path | None = NETWORK,
    as_json: bool = JSON,
) -> None:
    """Recall a release: sign the statement (several keys may, one after the other), and send it when they are enough.

    Boards that have not installed it never will; boards that run it stay on it and take the next newer one.
    """
    release = signing.read(metadata)
    net = load_network(network, needed=not key)
    path = out or recalling.path_of(metadata)
    keys = key or _of(net).key_files("vendor")
    statement = recalling.sign(release, path, keys, net, int(time.time()))
    enough = net is None or recalling.counts(statement, net)
    sent = None
    if enough and not offline:
        url, context = _channel(net, to, keys[0], certificate, pin)
        sent = publish.recall(url, context, statement)
    if as_json:
        typer.echo(json.dumps({"recall": str(path), "signatures": len(statement.signatures), "sent": sent}))
        return
    need = f" of {net.root.vendor_threshold}" if net else ""
    typer.echo(f"recall of {release.model} {release.version}: {len(statement.signatures)}{need} signatures, in {path}")
    if sent:
        typer.echo(f"{url} offers it to nobody any more, and tells its boards")
    elif not enough:
        typer.echo(f"next: fwchain release recall {metadata} --key with another vendor key")


def standing(net: Network, release: Release) -> str | None:
    """How the release stands at the verification node whose folder this is; None where that keeps no records."""
    database = sa.make_url(net.database).database
    if net.database.startswith("sqlite") and not Path(str(database)).exists():
        return None
    from fwchain.chainstore.schema import open_engine
    from fwchain.verification.waves import Waves, describe

    engine = open_engine(net.database)
    try:
        return describe(Waves(engine), release, int(time.time()))
    finally:
        engine.dispose()


def _channel(
    net: Network | None, to: str | None, key: Path | None, certificate: Path | None, pin: Path | None
) -> tuple[str, ssl.SSLContext]:
    """The publishing port's URL and the TLS to it; raises SetupError where neither option nor folder says."""
    context = tls.client(
        certificate or _of(net).folder / "tls" / "vendor.crt",
        key or _of(net).key_files("vendor")[0],
        pin or _of(net).folder / "tls" / "node.crt",
    )
    return (to or _of(net).publish_url).rstrip("/"), context


def _same(network: Path | None) -> str:
    """The option that names the same network folder in the next command."""
    return f" --network {network}" if network else ""


def _of(net: Network | None) -> Network:
    if net is None:
        raise SetupError("give --network, or all of --to, --key, --certificate and --pin")
    return net


def _files(
    source: Path | None, image: Path | None, path_files: list[str], platform: str, model: str, version: str
) -> list[tuple[str, str, bytes]]:
    """(name, target, content) of the release's files; raises SetupError."""
    files = []
    if source and image:
        raise SetupError("give a firmware folder or --image, not both")
    if source:
        if platform != "virtual":
            raise SetupError(f"for {platform} build the image with `make firmware BOARD={platform}`, then give --image")
        files.append((build_.default_name(model, version), SLOT, firmware.build(source, model, version)))
    elif image:
        files.append((build_.default_name(model, version), SLOT, image.read_bytes()))
    for item in path_files:
        name, _, target = item.partition("=")
        files.append((Path(name).name, target or Path(name).name, Path(name).read_bytes()))
    if len(files) == 1 and path_files:  # its name is the swarm's for the whole release, so it is the release's own
        ((name, target, content),) = files
        files = [(f"{model}-{version}-{name}", target, content)]
    if not files:
        raise SetupError("nothing to release: give a firmware folder, --image or --path")
    return files


def _waves(text: str) -> list[tuple[int, int]]:
    try:
        return [(int(share), int(after)) for share, after in (item.split(":") for item in text.split(","))]
    except ValueError:
        raise HostError(f"--rollout: {text!r} is not PERMILLE:SECONDS,… such as 50:0,1000:86400") from None
