"""Publishing a signed release to a verification node over mutual TLS (the channel of paper §3.1).

`POST /releases` with length of M (4 bytes, big-endian), M, and the files in order, or `POST /recalls` with a signed
recall; fwchain.verification.publish is the other side.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from fwchain.errors import NotTrusted, SetupError, Unreachable
from fwnode.trust.recall import Recall
from fwnode.trust.release import Release

CHUNK = 1 << 16
TIMEOUT_S = 120
HUNG_UP = "it hangs up once it has seen it"
ALERT_S = 2  # how long a refusal of our certificate may take


def check_files(release: Release, paths: list[Path]) -> None:
    """Raise SetupError unless the files are there with the sizes that M announces."""
    for path, (name, _, length) in zip(paths, release.files, strict=True):
        if not path.is_file():
            raise SetupError(f"{path}: there is no such file, and the release names {name}")
        if path.stat().st_size != length:
            raise SetupError(f"{path}: {path.stat().st_size} bytes, the release says {length}: build it anew")


def publish(
    url: str, tls: ssl.SSLContext, release: Release, paths: list[Path], on_bytes: Callable[[int], None]
) -> dict[str, Any]:
    """Send the release to the node at `url` (https://host:port). Returns the node's answer.

    `on_bytes` is called with the number of firmware bytes sent each time. Raises SetupError (files), NotTrusted (a
    certificate or a signature is refused), Unreachable (no node there, or refused for another reason).
    """
    check_files(release, paths)
    return asyncio.run(
        _send(url, "/releases", tls, _body(release, paths, on_bytes), f"{release.model} {release.version}")
    )


def recall(url: str, tls: ssl.SSLContext, statement: Recall) -> dict[str, Any]:
    """Send a signed recall to the node at `url`; returns the node's answer. Raises as `publish` does."""
    what = f"the recall of {statement.model} {statement.version}"
    return asyncio.run(_send(url, "/recalls", tls, statement.data, what))


async def _send(
    url: str, path: str, tls: ssl.SSLContext, body: AsyncIterator[bytes] | bytes, what: str
) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url + path, data=body, ssl=tls, allow_redirects=False) as answer,
        ):
            return await _answer(answer, what)
    except aiohttp.ClientConnectorCertificateError as error:
        raise NotTrusted(f"{url} is not the verification node whose certificate is pinned: {error}") from error
    except aiohttp.ClientSSLError as error:
        raise NotTrusted(f"{url} refuses the vendor's certificate: {_ssl_reason(error)}") from error
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(f"no verification node at {url} ({error.strerror}): is `fwchain serve` running?") from error
    except asyncio.TimeoutError:
        raise Unreachable(f"{url} gave no answer within {TIMEOUT_S} s") from None
    except (aiohttp.ClientError, ConnectionError, ssl.SSLError) as error:
        alert = await asyncio.to_thread(_alert, url, tls)
        if alert:
            raise NotTrusted(f"{url} refuses the vendor's certificate: {alert}") from error
        raise Unreachable(f"{url} ended the connection: {error or type(error).__name__}") from error


def _alert(url: str, tls: ssl.SSLContext) -> str | None:
    """What the node says to our certificate, None when it says nothing against it.

    In TLS 1.3 a client's certificate is refused after the client's handshake, by an alert or by hanging up, and either
    can look like a broken connection when data is under way. Here nothing is sent: who hangs up refuses.
    """
    parts = urlsplit(url)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), ALERT_S) as plain,
            tls.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            secure.recv(1)
    except ssl.SSLError as error:
        return _ssl_reason(error)
    except TimeoutError:
        return None
    except ConnectionResetError:
        return HUNG_UP
    except OSError:
        return None
    return HUNG_UP


async def _body(release: Release, paths: list[Path], on_bytes: Callable[[int], None]) -> AsyncIterator[bytes]:
    yield len(release.metainfo).to_bytes(4, "big") + release.metainfo
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
                on_bytes(len(chunk))


async def _answer(answer: aiohttp.ClientResponse, what: str) -> dict[str, Any]:
    try:
        value = await answer.json()
    except (aiohttp.ContentTypeError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise Unreachable(f"{answer.url} answers {answer.status} {answer.reason}, and no verification node does")
    if answer.status == 200:
        return value
    text = f"the verification node refuses {what}: {value.get('error', answer.reason)}"
    raise (NotTrusted if answer.status == 403 else Unreachable)(text)


def _ssl_reason(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and seen.reason:
            return str(seen.reason).lower().replace("_", " ")
        seen = seen.__cause__ or seen.__context__
    return str(error)
